"""The error catalogue."""

from __future__ import annotations

import pickle

import pytest

from schemas.errors import Category, ErrorCode, ExitStatus, Problem, Severity, TransfuseError


def test_each_category_has_its_codes() -> None:
    counts = {c: sum(code.category is c for code in ErrorCode) for c in Category}
    assert counts == {
        Category.CONNECTION: 5,
        Category.DATA: 5,
        Category.TRANSFORMATION: 5,
        Category.SYSTEM: 5,
        Category.USER: 4,
    }


@pytest.mark.parametrize(
    ("code", "severity", "error_type"),
    [
        ("DATA-001", Severity.MEDIUM, "VALIDATION_FAILURE"),
        ("DATA-002", Severity.HIGH, "REFERENTIAL_INTEGRITY_VIOLATION"),
        ("DATA-005", Severity.LOW, "DATA_QUALITY_ISSUE"),
        ("TRANS-004", Severity.HIGH, "SCHEMA_COMPATIBILITY_ISSUE"),
        ("SYS-001", Severity.CRITICAL, "MEMORY_EXHAUSTION"),
        ("CONN-003", Severity.MEDIUM, "SSL_CERTIFICATE_ERROR"),
    ],
)
def test_codes_have_the_guides_severity_and_type(
    code: str, severity: Severity, error_type: str
) -> None:
    assert ErrorCode(code).severity is severity
    assert ErrorCode(code).error_type == error_type


def test_a_problem_tells_code_place_and_remedy() -> None:
    problem = Problem(ErrorCode.TRANS_001, "there is no column 'x'", "a.yaml:3 tables.t", "mend it")
    assert str(problem) == "TRANS-001 a.yaml:3 tables.t: there is no column 'x' -> mend it"


def test_an_error_travels_between_processes() -> None:
    error = TransfuseError(Problem(ErrorCode.CONN_004, "gone"), ExitStatus.INCOMPLETE)
    received = pickle.loads(pickle.dumps(error))
    assert (received.problems, received.status) == (error.problems, ExitStatus.INCOMPLETE)
