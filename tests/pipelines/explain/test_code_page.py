"""docs/error-codes.md is what the guide generates."""

from __future__ import annotations

from pipelines.explain.code_page import error_code_page
from tests.support.project import PROJECT


def test_the_page_is_generated_from_the_guide() -> None:
    written = (PROJECT / "docs" / "error-codes.md").read_text(encoding="utf-8")
    assert written == error_code_page(), (
        "python -m pipelines.explain.code_page > docs/error-codes.md"
    )
