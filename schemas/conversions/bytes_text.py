"""Conversion between bytes and text, only in an encoding that the specification names.

Bytes travel as PostgreSQL writes them: ``\\x`` and two digits each.
"""

from __future__ import annotations

from schemas.blanks import BLANKS_SQL
from schemas.column_types import ColumnType
from schemas.conversions.conversion import (
    Conversion,
    ConversionProblem,
    cast_if_matching,
    fallible,
    let,
)
from schemas.conversions.text_readings import ENCODINGS, Encoding
from schemas.conversions.text_values import within_length

_PAIRS = "([0-9A-Fa-f]{2})*"


def bytes_from_text(value: str) -> Conversion:
    """Converts text in PostgreSQL's own form of bytes."""
    text = f"trim({value}, {BLANKS_SQL})"
    return fallible(value, cast_if_matching(text, rf"\\x{_PAIRS}", f"lower({text})"))


def recode(value: str, source: ColumnType, target: ColumnType, encoding: Encoding) -> Conversion:
    """Converts text to bytes or bytes to text.

    Args:
        value: SQL for the value.
        source: Its type.
        target: The type of the result.
        encoding: The encoding of the bytes in the text, or of the text in the bytes.

    Raises:
        ConversionProblem: The types are not those of text and of bytes.
    """
    if source.is_textual and target.name == "bytea":
        return fallible(value, _DECODED[encoding].replace("{}", value))
    if source.name == "bytea" and target.is_textual:
        digits = f"substr({value}, 3)"
        text = _ENCODED[encoding].replace("{}", digits)
        if encoding is not Encoding.UTF_8:
            return within_length(text, target)
        decoded = fallible(value, text)
        fits = within_length(text, target)
        if fits.reason is None:
            return decoded
        return Conversion(fits.value, f"coalesce({decoded.reason}, {fits.reason})")
    raise ConversionProblem(
        f"'format: {encoding.value}' is between text and bytea, not from {source} to {target}",
        "remove 'format'",
    )


def missing_encoding(source: ColumnType, target: ColumnType) -> ConversionProblem:
    """The error for bytes as text without an encoding."""
    return ConversionProblem(
        f"{source} can't become {target}: nothing says in which encoding the bytes are text",
        f"name it: 'type: text, format: utf-8' (or {', '.join(ENCODINGS[:3])}); other character"
        " sets with convert_from(column, 'LATIN1') in the query of 'from'; in 'sql' with"
        " decode(column)",
    )


def _bytes_of_escapes(text: str) -> str:
    r"""SQL for the bytes of text in PostgreSQL's older form: ``\\``, ``\ooo`` and ASCII."""
    one = (
        r"CASE WHEN part = '\\' THEN '5c' WHEN length(part) = 1 THEN lower(hex(part)) ELSE"
        " printf('%02x', CAST(part[2] AS INTEGER) * 64 + CAST(part[3] AS INTEGER) * 8"
        " + CAST(part[4] AS INTEGER)) END"
    )
    parts = rf"regexp_extract_all({text}, '\\\\|\\[0-7]{{3}}|[^\\]', 0, 's')"
    return rf"'\x' || array_to_string(list_transform({parts}, lambda part: {one}), '')"


def _escapes_of_bytes(digits: str) -> str:
    one = (
        r"CASE WHEN pair = '5c' THEN '\\'"
        " WHEN pair BETWEEN '20' AND '7e' THEN chr(CAST('0x' || pair AS INTEGER))"
        r" ELSE printf('\%03o', CAST('0x' || pair AS INTEGER)) END"
    )
    pairs = f"regexp_extract_all({digits}, '..')"
    return f"array_to_string(list_transform({pairs}, lambda pair: {one}), '')"


def _base64(text: str) -> str:
    """SQL for the bytes of padded base64; line breaks may divide it, stray bits may not end it."""
    bare = f"regexp_replace({text}, '\\s', '', 'g')"
    grammar = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
    read = "from_base64(bare)"
    same = f"to_base64({read}) = bare"
    return let(
        "bare",
        bare,
        f"CASE WHEN regexp_full_match(bare, '{grammar}') THEN"
        rf" CASE WHEN {same} THEN '\x' || lower(hex({read})) END END",
    )


_TRIMMED = f"trim({{}}, {BLANKS_SQL})"

_DECODED = {
    Encoding.HEX: cast_if_matching(
        _TRIMMED,
        rf"(\\x|0[xX])?{_PAIRS}",
        rf"'\x' || lower(regexp_replace({_TRIMMED}, '^(\\x|0[xX])', ''))",
    ),
    Encoding.BASE64: _base64("{}"),
    Encoding.ESCAPE: cast_if_matching(
        "{}", r"(?s)(\\\\|\\[0-3][0-7]{2}|[\x00-\x5B\x5D-\x7F])*", "{escapes}"
    ),
    Encoding.UTF_8: r"'\x' || lower(hex({}))",
}
_DECODED[Encoding.ESCAPE] = _DECODED[Encoding.ESCAPE].replace("{escapes}", _bytes_of_escapes("{}"))

_ENCODED = {
    Encoding.HEX: "{}",
    Encoding.BASE64: "to_base64(unhex({}))",
    Encoding.ESCAPE: _escapes_of_bytes("{}"),
    Encoding.UTF_8: "try(decode(unhex({})))",
}
