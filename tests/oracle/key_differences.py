"""How the key of a reference differs from those that there are."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from tests.oracle.damaged_codes import BLANKS


def difference_of(key: str, others: Iterable[str]) -> str:
    """The reason of the violation of a reference with that key, which none of the others is."""
    similar = {other for other in others if _bare(other) == _bare(key)}
    if len(similar) == 1:
        (other,) = similar
        for reason, left in _LEFT.items():
            if left(other) == left(key):
                return reason
    return "key_differs_in_writing" if similar else "missing_parent"


def _visible(text: str) -> str:
    return "".join(one for one in text if one not in BLANKS)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


_LEFT: dict[str, Callable[[str], str]] = {
    "key_differs_in_case": str.lower,
    "key_differs_in_blanks": _visible,
    "key_differs_in_form": _composed,
}


def _bare(text: str) -> str:
    return _composed(_visible(text)).lower()
