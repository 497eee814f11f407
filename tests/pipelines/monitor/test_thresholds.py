"""Which metrics are beyond their limits, and when an alert begins and ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipelines.monitor.alert_episodes import AlertEpisodes
from pipelines.monitor.thresholds import Excess, find_excesses
from schemas.errors import ErrorCode
from schemas.run_metrics import Metric, RunSample, UsualRates
from schemas.specification.monitoring import Monitoring

USUAL = UsualRates(rows_per_second=1000, seconds_per_partition=2)

QUIET = RunSample(
    rows=5000,
    rows_per_second=1000,
    seconds_per_partition=2,
    rejected_percent=1,
    cpu_percent=50,
    memory_percent=50,
    disk_percent=50,
    network_percent=10,
)


def beyond(usual: UsualRates = USUAL, **changes: Any) -> list[str]:
    """The metrics beyond the guide's limits in a sample that is quiet otherwise."""
    found = find_excesses(replace(QUIET, **changes), usual, Monitoring())
    return [excess.metric.value for excess in found]


@pytest.mark.parametrize(
    ("at_limit", "past_it", "metric"),
    [
        ({"rows_per_second": 700}, {"rows_per_second": 699}, "throughput"),
        ({"seconds_per_partition": 3.0}, {"seconds_per_partition": 3.1}, "latency"),
        ({"rejected_percent": 5}, {"rejected_percent": 5.1}, "errors"),
        ({"cpu_percent": 80}, {"cpu_percent": 80.1}, "cpu"),
        ({"memory_percent": 85}, {"memory_percent": 85.1}, "memory"),
        ({"disk_percent": 90}, {"disk_percent": 90.1}, "disk"),
        ({"network_percent": 75}, {"network_percent": 75.1}, "network"),
    ],
)
def test_the_limits_are_those_of_the_guide(
    at_limit: dict[str, Any], past_it: dict[str, Any], metric: str
) -> None:
    assert beyond(**at_limit) == []
    assert beyond(**past_it) == [metric]


@pytest.mark.parametrize(
    "nothing",
    ["seconds_per_partition", "rejected_percent", "cpu_percent", "disk_percent", "network_percent"],
)
def test_what_cannot_be_measured_is_within_its_limit(nothing: str) -> None:
    changes: dict[str, Any] = {nothing: None}
    assert beyond(**changes) == []


def test_rates_need_a_history() -> None:
    assert beyond(UsualRates(), rows_per_second=1, seconds_per_partition=900) == []


def test_a_load_that_is_settled_has_no_throughput() -> None:
    assert beyond(rows_per_second=0, is_loading=False) == []
    assert beyond(rows_per_second=0, is_loading=True) == ["throughput"]


def test_an_excess_says_what_was_measured_and_what_is_allowed() -> None:
    (excess,) = find_excesses(replace(QUIET, rows_per_second=123.4), USUAL, Monitoring())
    assert excess.message == "123 rows/s, under 70% of the usual 1,000"
    assert (excess.measured, excess.limit) == (123.4, 700)
    assert excess.metric.code is ErrorCode.SYS_002
    assert excess.remedy


def excess(metric: Metric, measured: float) -> Excess:
    return Excess(metric, measured, 1, "beyond")


def test_an_alert_lasts_until_the_metric_is_within_its_limit() -> None:
    episodes = AlertEpisodes()
    first, higher, lower = (excess(Metric.CPU, measured) for measured in (85, 95, 90))

    changes = episodes.follow([first])
    assert (changes.begun, changes.worse, changes.ended) == ((first,), (), ())
    changes = episodes.follow([higher])
    assert (changes.begun, changes.worse, changes.ended) == ((), (higher,), ())
    changes = episodes.follow([lower])
    assert (changes.begun, changes.worse, changes.ended) == ((), (), ())
    assert episodes.current == (higher,)
    changes = episodes.follow([])
    assert (changes.begun, changes.worse, changes.ended) == ((), (), (Metric.CPU,))
    assert episodes.follow([first]).begun == (first,)


def test_a_throughput_is_worse_the_lower_it_is() -> None:
    episodes = AlertEpisodes()
    episodes.follow([excess(Metric.THROUGHPUT, 500)])
    assert not episodes.follow([excess(Metric.THROUGHPUT, 600)]).worse
    assert episodes.follow([excess(Metric.THROUGHPUT, 400)]).worse


def test_the_end_of_a_run_ends_its_alerts() -> None:
    episodes = AlertEpisodes()
    episodes.follow([excess(Metric.CPU, 90), excess(Metric.DISK, 95)])
    assert episodes.end_all() == (Metric.CPU, Metric.DISK)
    assert episodes.end_all() == ()
