"""Ready rules for the numbers of people, providers and records."""

from __future__ import annotations

from schemas.expressions import literal
from schemas.ready_rules.operands import Family, Operand
from schemas.ready_rules.parameters import Constant, FieldParameter, one_of, text
from schemas.ready_rules.rule import ready_rule

LONGEST_NUMBER = 20
"""Digits of a number with a check digit; in a longer one it isn't looked for."""


@ready_rule(FieldParameter("field", Family.IDENTIFIER, "the provider's number", "npi"))
def npi(field: Operand) -> str:
    """A National Provider Identifier has ten digits, the last of which is a right check digit.

    The check digit is Luhn's over the digits with 80840 before them.

    Source: 45 CFR 162.406; CMS, "Requirements for National Provider Identifier (NPI) and NPI
    Check Digit".
    """
    right = _mod10(f"'80840' || {field.text}", 15)
    return f"CASE WHEN {_lacks_digits(field.text, '10')} THEN false ELSE {right} END"


@ready_rule(FieldParameter("field", Family.IDENTIFIER, "the number", "ssn"))
def ssn(field: Operand) -> str:
    """A Social Security number is one that can have been assigned: no area 000, 666 or 900 to
    999, no group 00, no serial number 0000.

    It is written as 123-45-6789 or 123456789. A number that is stored as a number has lost its
    leading zeros, which count.

    Source: Social Security Administration, "Which Social Security numbers are invalid?"; the
    areas above 772 are assigned since the randomization of 25 June 2011.
    """
    written = field.digits(9)
    digits = f"replace({written}, '-', '')"
    return (
        f"regexp_full_match({written}, '[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}|[0-9]{{9}}')"
        f" AND left({digits}, 3) NOT IN ('000', '666') AND left({digits}, 1) <> '9'"
        f" AND substr({digits}, 4, 2) <> '00' AND right({digits}, 4) <> '0000'"
    )


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
    """A number of 2 to 20 digits ends with its right check digit.

    mod10 is Luhn's. mod11 weighs the digits before it, from the right, with 2 to 7 again and
    again; the check digit is 11 less the remainder of their sum, of which the last digit counts.

    Source: HL7 v2.3.1, 2.8.5 (CK), table 0061: M10 and M11.
    """
    right = _mod10 if method == "mod10" else _mod11
    # A number that begins with zeros and is stored as a number has lost them: they weigh nothing.
    value = field.digits(2)
    lacking = _lacks_digits(value, f"2,{LONGEST_NUMBER}")
    return f"CASE WHEN {lacking} THEN false ELSE {right(value, LONGEST_NUMBER)} END"


def _lacks_digits(value: str, count: str) -> str:
    """NULL where the value is, so that a CASE goes on to what is NULL as well."""
    return f"NOT regexp_full_match({value}, '[0-9]{{{count}}}')"


def _digits_from_right(value: str, length: int) -> list[str]:
    """The digits of a number, the last one first; zeros where it is shorter than ``length``."""
    padded = f"lpad({value}, {length}, '0')"
    return [f"(ascii(substr({padded}, {length - n}, 1)) - 48)" for n in range(length)]


def _mod10(value: str, length: int) -> str:
    """Every second digit from the right counts twice; of a result its two digits are added."""
    terms = []
    for position, digit in enumerate(_digits_from_right(value, length)):
        doubled = f"({digit} * 2) % 10 + CASE WHEN {digit} > 4 THEN 1 ELSE 0 END"
        terms.append(doubled if position % 2 else digit)
    return f"({' + '.join(terms)}) % 10 = 0"


def _mod11(value: str, length: int) -> str:
    check, *digits = _digits_from_right(value, length)
    weighed = [f"{digit} * {2 + n % 6}" for n, digit in enumerate(digits)]
    return f"(11 - greatest(({' + '.join(weighed)}) % 11, 1)) % 10 = {check}"
