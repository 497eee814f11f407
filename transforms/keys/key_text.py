"""The text that identifies a row, as SQL over the columns of its key."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.column_types import ColumnType
from schemas.conversions import ConversionProblem, convert, to_text
from schemas.sql.expressions import quote


def key_text(columns: list[tuple[str, ColumnType]]) -> str:
    """SQL for the text that identifies a row: the value, or a JSON array of several.

    A number is the same whatever its scale, since children may hold it in another one.
    """
    return _one_text([_plain(quote(name), kind) for name, kind in columns])


def reference_text(
    columns: Sequence[tuple[str, ColumnType]], parents: Sequence[ColumnType | None]
) -> str:
    """``key_text`` of the parent's row that ``columns`` refer to.

    ``parents`` are the types of what identifies it, None where that isn't one type. What
    can't be a value of such a type stays as it is, and finds no parent.
    """
    return _one_text(
        [
            _as_parent(quote(name), kind, parent)
            for (name, kind), parent in zip(columns, parents, strict=True)
        ]
    )


def _as_parent(value: str, kind: ColumnType, parent: ColumnType | None) -> str:
    own = _plain(value, kind)
    if parent is None or parent.name == kind.name:
        return own
    try:
        converted = convert(value, kind, parent).value
    except ConversionProblem:
        return own
    return f"coalesce({_plain(converted, parent)}, {own})"


def _one_text(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"CAST(to_json([{', '.join(texts)}]) AS VARCHAR)"


def _plain(value: str, kind: ColumnType) -> str:
    return _comparable(value, kind) if kind.name == "numeric" else to_text(value, kind)


def comparable_key(columns: list[tuple[str, ColumnType]]) -> str:
    """``key_text`` in which keys that the server takes as equal have the same text."""
    return _one_text([_comparable(quote(name), kind) for name, kind in columns])


def _comparable(value: str, kind: ColumnType) -> str:
    if kind.name == "numeric":
        # 007, 7.00 and +7 are one number.
        whole = f"regexp_replace({value}, '^\\+|(\\.[0-9]*?)0+$', '\\1', 'g')"
        plain = rf"regexp_replace(regexp_replace({whole}, '\.$', ''), '^(-?)0+([0-9])', '\1\2')"
        return rf"regexp_replace(regexp_replace({plain}, '^(-?)\.', '\10.'), '^-0$', '0')"
    if kind.name in ("float4", "float8"):
        return to_text(f"({value} + 0)", kind)
    if kind.name == "bpchar":
        return f"rtrim({value}, ' ')"
    if kind.name == "citext":
        return f"lower({value})"
    return to_text(value, kind)
