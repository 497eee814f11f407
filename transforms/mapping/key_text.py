"""The text that identifies a row, as SQL over the columns of its key."""

from __future__ import annotations

from schemas.column_types import ColumnType
from schemas.conversions import to_text
from schemas.expressions import quote


def key_text(columns: list[tuple[str, ColumnType]]) -> str:
    """SQL for the text that identifies a row: the value, or a JSON array of several."""
    texts = [to_text(quote(name), kind) for name, kind in columns]
    if len(texts) == 1:
        return texts[0]
    return f"CAST(to_json([{', '.join(texts)}]) AS VARCHAR)"


def comparable_key(columns: list[tuple[str, ColumnType]]) -> str:
    """``key_text`` in which keys that the server takes as equal have the same text."""
    texts = [_comparable(quote(name), kind) for name, kind in columns]
    return texts[0] if len(texts) == 1 else f"CAST(to_json([{', '.join(texts)}]) AS VARCHAR)"


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
