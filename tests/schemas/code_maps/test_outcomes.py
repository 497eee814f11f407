"""The outcome of a code of which only some targets are in the release of the target."""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.code_maps.gem import GemMap, GemRow
from schemas.code_maps.outcomes import map_outcomes
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.target_check import OUTDATED_TARGET, Outdated, TargetCheck

GEM = GemMap.from_rows(
    "icd",
    "small",
    "0" * 64,
    [
        GemRow("0010", "A000", "00000"),
        GemRow("4019", "I10", "10000"),
        GemRow("25040", "E1121", "10111"),
        GemRow("25040", "E1129", "10112"),
    ],
)
CLUSTER = ("E1121", "E1129")


@pytest.mark.parametrize("action", ["accept", "warn", "reject"])
@pytest.mark.parametrize(
    ("outdated", "concerned"),
    [
        ({"A000"}, {"0010"}),
        # One member of a cluster is enough: half of it would be another diagnosis.
        ({"E1121"}, {"25040"}),
        ({"E1129"}, {"25040"}),
        ({"E1121", "E1129"}, {"25040"}),
        (set(), set()),
    ],
)
def test_one_outdated_target_is_enough(
    action: str, outdated: set[str], concerned: set[str]
) -> None:
    valid = pa.array(sorted({"A000", "I10", *CLUSTER} - outdated), pa.string())
    check = TargetCheck(Outdated(action), "0" * 64, frozenset(), valid).against(GEM, valid)
    outcomes = map_outcomes(GEM, GemPolicy(), check)
    rejected = {code for code, one in outcomes.items() if one.rejected == OUTDATED_TARGET}
    noted = {code for code, one in outcomes.items() if one.noted == OUTDATED_TARGET}
    assert rejected == (concerned if action == "reject" else set())
    assert noted == (concerned if action == "warn" else set())
    for code, outcome in outcomes.items():
        targets = [row.undotted for row in outcome.rows]
        if code in rejected:
            assert targets == [None]
        elif code == "25040":
            assert tuple(targets) == CLUSTER
