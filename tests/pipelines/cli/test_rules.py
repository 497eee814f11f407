"""The verb ``rules``: the table, one rule in full, JSON."""

from __future__ import annotations

import json

import pytest

from pipelines.cli.main import main
from schemas.ready_rules import READY_RULES


def test_the_verb_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in READY_RULES)
    assert main(["rules", "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert [rule["name"] for rule in rules] == list(READY_RULES)
    (npi,) = [rule for rule in rules if rule["name"] == "npi"]
    assert (npi["error"], npi["on_fail"]) == ("DATA-001", "reject")
    assert [(p["name"], p["default"]) for p in npi["parameters"]] == [("field", "npi")]


def test_the_verb_shows_one_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "age_at_most"]) == 0
    printed = capsys.readouterr().out
    assert "AGE_AT_MOST: {use: age_at_most, birth: birth_date" in printed
    assert "Source: CMS" in printed
    assert main(["rules", "npii"]) == 2
    assert "did you mean 'npi'?" in capsys.readouterr().err
