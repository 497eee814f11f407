"""Which code, rule, field and reason an SQLSTATE of the server becomes."""

from __future__ import annotations

import pytest

from schemas.errors import ErrorCode
from transforms.target_rows.target_errors import TargetError, is_about_row


@pytest.mark.parametrize(
    ("error", "code", "rule", "field", "reason"),
    [
        (TargetError("23514", "age"), "TRANS-004", "age", "n", "check_violation"),
        (TargetError("23514"), "TRANS-004", "target.check_violation", None, "check_violation"),
        (TargetError("23505", "pair"), "DATA-004", "pair", None, "unique_violation"),
        (TargetError("23505", "age", existing=True), "DATA-004", "age", "n", "existing_key"),
        (TargetError("23503", "parent"), "DATA-002", "parent", None, "foreign_key_violation"),
        (TargetError("23502", None, "n"), "DATA-001", "n.not_null_violation", "n",
         "not_null_violation"),
        (TargetError("23P01", "room"), "DATA-004", "room", None, "exclusion_violation"),
        (TargetError("22P02", None, "u"), "DATA-003", "u.invalid_text_representation", "u",
         "invalid_text_representation"),
        (TargetError("22001"), "DATA-003", "target.string_data_right_truncation", None,
         "string_data_right_truncation"),
        (TargetError("22X99"), "DATA-003", "target.sqlstate_22x99", None, "sqlstate_22x99"),
        (TargetError("54000"), "DATA-003", "target.program_limit_exceeded", None,
         "program_limit_exceeded"),
        (TargetError("42622", None, "n"), "DATA-003", "n.name_too_long", "n", "name_too_long"),
        (TargetError("P0001"), "TRANS-004", "target.trigger", None, "trigger"),
        (TargetError("P0001", "visit_rule"), "TRANS-004", "visit_rule", None, "trigger"),
        (TargetError("HC001"), "TRANS-004", "target.HC001", None, "HC001"),
        (TargetError("38000"), "TRANS-004", "target.38000", None, "38000"),
        (TargetError("TF001"), "TRANS-004", "target.dropped_by_target", None, "dropped_by_target"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_terms_of_the_catalogue(
    error: TargetError, code: str, rule: str, field: str | None, reason: str
) -> None:
    violation = error.violation({"age": ("n",), "pair": ("a", "b")})
    assert (violation.code, violation.rule, violation.field, violation.reason) == (
        ErrorCode(code),
        rule,
        field,
        reason,
    )
    assert is_about_row(error.sqlstate)


@pytest.mark.parametrize(
    "sqlstate",
    ["08006", "0A000", "22P04", "25P02", "40001", "40P01", "42501", "42P01", "53100", "55P03",
     "57014", "57P01", "XX000"],
)  # fmt: skip
def test_whose_fault_an_error_is_shows_only_with_other_rows(sqlstate: str) -> None:
    assert not is_about_row(sqlstate)
    assert sqlstate == "22P04" or TargetError(sqlstate).violation({}).reason == sqlstate


@pytest.mark.parametrize("state", ["42117", "HZ123", "22117"])
def test_an_sqlstate_that_a_trigger_made_of_a_value_is_not_passed_on(state: str) -> None:
    violation = TargetError(state).limit_to(set()).violation({})
    assert state not in f"{violation.rule} {violation.reason}"
    assert TargetError(state).limit_to({state}).sqlstate == state
