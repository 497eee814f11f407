"""How the ledger keeps why something failed: the message, and what to do about it, in one text."""

from __future__ import annotations

_ARROW = " -> "


def with_remedy(message: str, remedy: str) -> str:
    """The text that the ledger keeps."""
    return f"{message}{_ARROW}{remedy}" if remedy else message


def split_remedy(text: str) -> tuple[str, str]:
    """The message and the remedy of a text of the ledger; the remedy is empty without one."""
    message, _, remedy = text.partition(_ARROW)
    return message, remedy
