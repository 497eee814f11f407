"""Which code, rule, field and reason an SQLSTATE of the server becomes."""

from __future__ import annotations

import pytest

from schemas.errors import ErrorCode
from transforms.target_rows.refusals import Refusal, is_refusal


@pytest.mark.parametrize(
    ("refusal", "code", "rule", "field", "reason"),
    [
        (Refusal("23514", "age"), "TRANS-004", "age", "n", "check_violation"),
        (Refusal("23514"), "TRANS-004", "target.check_violation", None, "check_violation"),
        (Refusal("23505", "pair"), "DATA-004", "pair", None, "unique_violation"),
        (Refusal("23505", "age", existing=True), "DATA-004", "age", "n", "existing_key"),
        (Refusal("23503", "parent"), "DATA-002", "parent", None, "foreign_key_violation"),
        (Refusal("23502", None, "n"), "DATA-001", "n.not_null_violation", "n",
         "not_null_violation"),
        (Refusal("23P01", "room"), "DATA-004", "room", None, "exclusion_violation"),
        (Refusal("22P02", None, "u"), "DATA-003", "u.invalid_text_representation", "u",
         "invalid_text_representation"),
        (Refusal("22001"), "DATA-003", "target.string_data_right_truncation", None,
         "string_data_right_truncation"),
        (Refusal("22X99"), "DATA-003", "target.sqlstate_22x99", None, "sqlstate_22x99"),
        (Refusal("54000"), "DATA-003", "target.program_limit_exceeded", None,
         "program_limit_exceeded"),
        (Refusal("42622", None, "n"), "DATA-003", "n.name_too_long", "n", "name_too_long"),
        (Refusal("P0001"), "TRANS-004", "target.trigger", None, "trigger"),
        (Refusal("P0001", "visit_rule"), "TRANS-004", "visit_rule", None, "trigger"),
        (Refusal("HC001"), "TRANS-004", "target.trigger", None, "trigger"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_terms_of_the_catalogue(
    refusal: Refusal, code: str, rule: str, field: str | None, reason: str
) -> None:
    finding = refusal.finding({"age": ("n",), "pair": ("a", "b")})
    assert (finding.code, finding.rule, finding.field, finding.reason) == (
        ErrorCode(code),
        rule,
        field,
        reason,
    )
    assert is_refusal(refusal.sqlstate)


@pytest.mark.parametrize(
    "sqlstate",
    [None, "08006", "0A000", "22P04", "25P02", "40001", "40P01", "42501", "42P01", "53100", "55P03",
     "57014", "57P01", "XX000"],
)  # fmt: skip
def test_an_error_that_no_row_is_to_blame_for_is_no_refusal(sqlstate: str | None) -> None:
    assert not is_refusal(sqlstate)
