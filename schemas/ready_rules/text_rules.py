"""Ready rules for text and for the values that a field may have."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.ready_rules.operands import Family, Operand
from schemas.ready_rules.parameters import Constant, FieldParameter, texts, truth, whole_number
from schemas.ready_rules.rule import ready_rule
from schemas.sql.expressions import literal

ADMINISTRATIVE_SEX = ["F", "M", "O", "U", "A", "N"]

_FIELD = FieldParameter("field", Family.TEXT, "the field with the text")


@ready_rule(
    _FIELD,
    Constant("line_breaks", truth, "whether tabs and line breaks are let pass", "false"),
    error=ErrorCode.DATA_005,
    warns=True,
)
def no_control_characters(field: Operand, line_breaks: bool) -> str:
    """Text has no control characters, which are left over from terminals and wrong encodings.

    Source: Unicode 15, general category Cc: U+0000 to U+001F and U+007F to U+009F.
    """
    low = r"\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}" if line_breaks else r"\x{00}-\x{1F}"
    return rf"NOT regexp_matches({field.text}, '[{low}\x{{7F}}-\x{{9F}}]')"


@ready_rule(
    _FIELD,
    Constant("least", whole_number, "the fewest characters", "1"),
    Constant("most", whole_number, "the most characters", example_text="40"),
)
def text_length(field: Operand, least: int, most: int) -> str:
    """Text has no fewer and no more characters than it may.

    Characters are counted, not bytes, and blanks at the ends are among them.

    Source: the specification of the site; that a value fits its column is checked anyway
    (DATA-003).
    """
    return f"length({field.text}) BETWEEN {least} AND {most}"


@ready_rule(
    FieldParameter("field", Family.VALUE, "the field"),
    Constant("values", texts, "the values that it may have", example_text="[A, B]"),
)
def one_of(field: Operand, values: list[str]) -> str:
    """A field has one of the given values, whether they are stored as text or as numbers.

    Source: the specification of the site.
    """
    return f"{field.text} IN ({', '.join(map(literal, values))})"


@ready_rule(
    FieldParameter("field", Family.VALUE, "the field with the sex", "sex"),
    Constant("values", texts, "the values that it may have", ADMINISTRATIVE_SEX),
)
def sex(field: Operand, values: list[str]) -> str:
    """A sex is one of the codes for it: F, M, O (other), U (unknown), A (ambiguous), N (not
    applicable).

    Source: HL7 v2 table 0001, administrative sex.
    """
    return f"{field.text} IN ({', '.join(map(literal, values))})"
