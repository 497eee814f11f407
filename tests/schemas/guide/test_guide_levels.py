"""Severities, levels, categories and the escalation matrix of the guide."""

from __future__ import annotations

from datetime import timedelta

from schemas.errors import Category, ErrorCode, Severity
from schemas.guide.error_categories import CATEGORIES
from schemas.guide.escalation_matrix import MATRIX, IssueType, issue_type_of
from schemas.guide.support_levels import RESPONSES, SupportLevel, time_in_words


def test_every_severity_has_a_response_that_grows_with_it() -> None:
    times = [RESPONSES[severity].response_time for severity in Severity]
    assert times == sorted(times)
    assert [time_in_words(time) for time in times] == [
        "15 minutes",
        "1 hour",
        "4 hours",
        "24 hours",
    ]
    assert time_in_words(timedelta(minutes=90)) == "90 minutes"


def test_every_code_belongs_to_an_issue_type_with_four_contacts() -> None:
    assert {len(set(MATRIX[issue_type_of(code)].values())) for code in ErrorCode} == {4}
    assert issue_type_of(ErrorCode.CONN_002) is IssueType.CONNECTION
    assert issue_type_of(ErrorCode.USER_002) is IssueType.SECURITY
    assert all(set(contacts) == set(SupportLevel) for contacts in MATRIX.values())


def test_the_prefix_of_a_category_is_that_of_its_codes() -> None:
    assert set(CATEGORIES) == set(Category)
    for code in ErrorCode:
        assert CATEGORIES[code.category].prefix == code.value.partition("-")[0]
