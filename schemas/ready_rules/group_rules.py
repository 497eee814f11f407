"""Ready rules over several rows of a load. They warn: which of the rows is wrong, nobody knows."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.ready_rules.operands import Family, Operand
from schemas.ready_rules.parameters import (
    Constant,
    FieldParameter,
    FieldsParameter,
    whole_number,
)
from schemas.ready_rules.rule import Grouped, group_rule


@group_rule(
    FieldsParameter("by", Family.ANY, "the fields that say which rows belong together", ("mrn",)),
    FieldsParameter("fields", Family.ANY, "the fields that are equal then", ("birth_date", "sex")),
)
def one_value_per(by: Sequence[Operand], fields: Sequence[Operand]) -> Grouped:
    """Rows with one record number don't contradict each other about the person.

    All rows of a group in which a field has several values fail. NULL contradicts nothing.

    Source: practice of master patient indexes, which call two persons under one number an overlay.
    """
    differs = (f"min(v{n}) OVER g <> max(v{n}) OVER g" for n in range(len(fields)))
    values = tuple(f"md5({field.text})" for field in fields)
    return Grouped(_texts(by), values, " OR ".join(differs), "conflicting_values")


@group_rule(FieldsParameter("fields", Family.ANY, "the fields that make two rows the same"))
def no_repeated_row(fields: Sequence[Operand]) -> Grouped:
    """No row says the same as another row before it, in the order of the source.

    NULL is the same as NULL.

    Source: practice of interfaces, which send messages again that are not confirmed.
    """
    fails = "row_number() OVER ordered > 1"
    return Grouped(_texts(fields), (), fails, "repeated_row", with_nulls=True)


@group_rule(
    FieldsParameter("by", Family.ANY, "the fields of what is numbered through", ("encounter_id",)),
    FieldParameter("sequence", Family.IDENTIFIER, "the field with the number", "rank"),
    Constant("first", whole_number, "the number to begin with", "1"),
)
def no_gaps(by: Sequence[Operand], sequence: Operand, first: int) -> Grouped:
    """Numbers within a group follow each other without a gap: diagnosis 1, 2, 3 of a visit.

    The row after a gap fails. Numbers that repeat leave none, and what is no number isn't
    counted.

    Source: UB-04 (CMS-1450), form locators 67 and 67A to Q: the principal diagnosis first, then
    the others in places that follow each other.
    """
    # No cast shows what is a number: it takes 1.5, 0x2 and 1e1 too. And of 18 digits the next
    # number is one as well.
    whole = rf"regexp_full_match({sequence.text}, '\s*[+-]?[0-9]{{1,18}}\s*')"
    number = f"CASE WHEN {whole} THEN CAST({sequence.text} AS BIGINT) END"
    fails = f"v0 > coalesce(lag(v0) OVER ordered, {first - 1}) + 1"
    return Grouped(_texts(by), (number,), fails, "gap", alone=True)


def _texts(operands: Sequence[Operand]) -> tuple[str, ...]:
    return tuple(operand.text for operand in operands)
