"""Ready rules for the numbers of people, providers and records."""

from __future__ import annotations

from schemas.ready_rules.operands import Family, Operand
from schemas.ready_rules.parameters import Constant, FieldParameter, one_of, text
from schemas.ready_rules.rule import ready_rule
from schemas.sql.expressions import literal

LONGEST_NUMBER = 18
"""Digits of a number with a check digit: what an integer of 64 bits holds."""

LUHN_OF_80840 = 24
"""What the prefix adds to the sum of an NPI. Source: CMS, NPI check digit."""

_AREA = "00[1-9]|0[1-9][0-9]|[1-57-8][0-9]{2}|6[0-57-9][0-9]|66[0-57-9]"
_GROUP = "0[1-9]|[1-9][0-9]"
_SERIAL = "000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3}"


@ready_rule(FieldParameter("field", Family.IDENTIFIER, "the provider's number", "npi"))
def npi(field: Operand) -> str:
    """A National Provider Identifier has ten digits, the last of which is a right check digit.

    The check digit is Luhn's over the digits with 80840 before them.

    Source: 45 CFR 162.406; CMS, "Requirements for National Provider Identifier (NPI) and NPI
    Check Digit".
    """
    right = _mod10(field.text, 10, LUHN_OF_80840)
    return f"regexp_full_match({field.text}, '[0-9]{{10}}') AND {right}"


@ready_rule(FieldParameter("field", Family.IDENTIFIER, "the number", "ssn"))
def ssn(field: Operand) -> str:
    """A Social Security number is one that can have been assigned: no area 000, 666 or 900 to
    999, no group 00, no serial number 0000.

    It is written as 123-45-6789 or 123456789. A number that is stored as a number has lost its
    leading zeros, which count.

    Source: Social Security Administration, "Which Social Security numbers are invalid?"; the
    areas above 772 are assigned since the randomization of 25 June 2011.
    """
    dashed = f"({_AREA})-({_GROUP})-({_SERIAL})"
    pattern = f"{dashed}|{dashed.replace('-(', '(')}"
    return f"regexp_full_match({field.digits(9)}, '{pattern}')"


@ready_rule(
    FieldParameter("field", Family.IDENTIFIER, "the record's number", "mrn"),
    Constant(
        "pattern",
        text,
        "a regular expression (RE2) that the whole number matches",
        example_text="[0-9]{7,8}",
    ),
)
def mrn_format(field: Operand, pattern: str) -> str:
    """A medical record number is written as the hospital writes it.

    Source: the hospital that assigns the numbers; HL7 v2 leaves their form to the assigning
    authority (PID-3, data type CX).
    """
    return f"regexp_full_match({field.text}, {literal(pattern)})"


@ready_rule(
    FieldParameter("field", Family.IDENTIFIER, "the number, check digit last", "mrn"),
    Constant("method", one_of("mod10", "mod11"), "mod10 (Luhn) or mod11", "mod10"),
)
def check_digit(field: Operand, method: str) -> str:
    """A number of 2 to 18 digits ends with its right check digit.

    mod10 is Luhn's. mod11 weighs the digits before it, from the right, with 2 to 7 again and
    again; the check digit is 11 less the remainder of their sum, of which the last digit counts.

    Source: HL7 v2.3.1, 2.8.5 (CK), table 0061: M10 and M11.
    """
    right = _mod10 if method == "mod10" else _mod11
    # A number that begins with zeros and is stored as a number has lost them: they weigh nothing.
    value = field.digits(2)
    digits = f"regexp_full_match({value}, '[0-9]{{2,{LONGEST_NUMBER}}}')"
    return f"{digits} AND {right(value, LONGEST_NUMBER)}"


def _digits_from_right(value: str, length: int) -> list[str]:
    """The digits of a number, the last one first; NULL where the text is none.

    Arithmetic takes a twentieth of the time that cutting the text to pieces does. There is no
    CASE around it, because DuckDB would compute what is common to its branches again and again.
    """
    number = f"try_cast({value} AS BIGINT)"
    return [f"({number} // {10**n}) % 10" for n in range(length)]


def _mod10(value: str, length: int, passed: int = 0) -> str:
    """Every second digit from the right counts twice; of a result its two digits are added.

    ``passed`` is what digits further left add up to.
    """
    terms = [str(passed)]
    for position, digit in enumerate(_digits_from_right(value, length)):
        terms.append(f"2 * ({digit}) - 9 * (({digit}) // 5)" if position % 2 else f"({digit})")
    return f"({' + '.join(terms)}) % 10 = 0"


def _mod11(value: str, length: int) -> str:
    check, *digits = _digits_from_right(value, length)
    weighed = [f"({digit}) * {2 + n % 6}" for n, digit in enumerate(digits)]
    return f"(11 - greatest(({' + '.join(weighed)}) % 11, 1)) % 10 = ({check})"
