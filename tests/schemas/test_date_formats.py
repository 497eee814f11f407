"""Date formats are as strict as the hospital's data needs them."""

from __future__ import annotations

import re

import pytest

from schemas.date_formats import DateFormat


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("%m/%d/%Y", "03/04/1980", True),
        ("%m/%d/%Y", "3/4/1980", True),
        ("%m/%d/%Y", "3/4/80", False),
        ("%m/%d/%Y", "003/04/1980", False),
        ("%Y%m%d", "19800304", True),
        ("%Y%m%d", "1980304", False),
        ("%d.%m.%y", "04.03.80", True),
        ("%d.%m.%y", "04.03.1980", False),
        ("%Y-%m-%d %H:%M:%S", "1980-03-04 1:02:03", True),
        ("%d-%b-%Y", "04-Mar-1980", True),
        ("%d-%b-%Y", "04-03-1980", False),
        ("%Y", "198", False),
    ],
)
def test_the_grammar_of_a_format(pattern: str, text: str, fits: bool) -> None:
    assert (re.fullmatch(DateFormat.parse(pattern).grammar, text) is not None) is fits


@pytest.mark.parametrize("pattern", ["%q", "%m/%d", "no directive", "%Y-%m-%"])
def test_what_is_no_format_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="format"):
        DateFormat.parse(pattern)
