"""Alerts: one for each time that a metric leaves its limit, until it is within it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.monitor.thresholds import Excess
from schemas.run_metrics import Metric


@dataclass(frozen=True)
class AlertChanges:
    """What a sample changes about the alerts of a run.

    Attributes:
        begun: Metrics that have left their limits.
        worse: Metrics beyond their limits that were never as far beyond.
        ended: Metrics that are within their limits again.
    """

    begun: tuple[Excess, ...]
    worse: tuple[Excess, ...]
    ended: tuple[Metric, ...]


class AlertEpisodes:
    """Keeps the metrics of a run that are beyond their limits."""

    def __init__(self) -> None:
        self._worst: dict[Metric, Excess] = {}

    @property
    def current(self) -> tuple[Excess, ...]:
        """The worst measure of each metric that is beyond its limit."""
        return tuple(self._worst.values())

    def follow(self, excesses: Sequence[Excess]) -> AlertChanges:
        """Take the excesses of the next sample.

        Args:
            excesses: At most one for each metric.

        Returns:
            What has begun, got worse and ended since the sample before.
        """
        present = {excess.metric: excess for excess in excesses}
        begun = tuple(one for metric, one in present.items() if metric not in self._worst)
        worse = tuple(
            one for metric, one in present.items() if self._is_worse(one, self._worst.get(metric))
        )
        ended = tuple(metric for metric in self._worst if metric not in present)
        kept = {metric: one for metric, one in self._worst.items() if metric in present}
        self._worst = {**kept, **{one.metric: one for one in (*begun, *worse)}}
        return AlertChanges(begun, worse, ended)

    def end_all(self) -> tuple[Metric, ...]:
        """Forget all of them at the end of a run; those that were beyond their limits."""
        ended = tuple(self._worst)
        self._worst = {}
        return ended

    @staticmethod
    def _is_worse(excess: Excess, before: Excess | None) -> bool:
        if before is None:
            return False
        if excess.metric is Metric.THROUGHPUT:
            return excess.measured < before.measured
        return excess.measured > before.measured
