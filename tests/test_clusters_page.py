"""What docs/clusters.md says is so: its arithmetic, its queries, its flags, its exit statuses."""

from __future__ import annotations

import re
from math import ceil

import psycopg
import pytest

from pipelines import migrate, read_specification
from pipelines.engines.beam_flags import refuse_unknown
from schemas.errors import ExitStatus, TransfuseError
from tests.support.jobs.readme_hospital import ReadmeHospital, hospital
from tests.support.project import PROJECT
from transforms.model.slices import PartitionBounds

__all__ = ["hospital"]

PAGE = (PROJECT / "docs" / "clusters.md").read_text(encoding="utf-8")

BILLION = 10**9

OF_AN_ENGINE = {"--number_of_execution_retries", "--checkpointing_interval", "--max_bundle_size"}
"""Flags that the job servers know, and Beam's Python doesn't."""


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def rows_below(header: str) -> list[list[str]]:
    """The cells of the table that has this header."""
    _, _, below = PAGE.partition(header + "\n")
    table = re.match(r"\|[-|]+\|\n((?:\|.*\|\n)+)", below)
    assert table is not None, header
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]


def number(text: str) -> float:
    return float(text.replace(",", "").split()[-1])


def rate() -> float:
    (found,) = re.findall(r"^    RATE_PER_SLOT = ([\d,]+) rows/s", PAGE, re.MULTILINE)
    return number(found)


def test_times_follow_from_the_measured_rate() -> None:
    for slots, all_slots, *hours in rows_below(
        "| slots | rows/s | 1 billion rows | 10 billion rows |"
    ):
        together = rate() * number(slots)
        assert number(all_slots) == together
        told = [f"{billions * BILLION / together / 3600:.1f} h" for billions in (1, 10)]
        assert hours == told, f"with {slots} slots"


def test_slots_follow_from_the_measured_rate() -> None:
    for window, *slots in rows_below("| window | 1 billion rows | 10 billion rows |"):
        seconds = number(window.removesuffix(" h")) * 3600
        told = [ceil(billions * BILLION / (rate() * seconds)) for billions in (1, 10)]
        assert [number(count) for count in slots] == told, f"in {window}"


def test_a_partition_takes_as_long_as_is_said() -> None:
    (seconds,) = re.findall(r"100,000 / RATE_PER_SLOT = ([\d.]+) s", PAGE)
    assert float(seconds) == round(100_000 / rate(), 1)


def test_partitions_follow_from_the_width_of_rows() -> None:
    for width, *counts in rows_below("| bytes of a row | 1 billion rows | 10 billion rows |"):
        for billions, count in zip((1, 10), counts, strict=True):
            rows = billions * BILLION
            expected = PartitionBounds().share(rows, rows * number(width))
            assert number(count) == pytest.approx(expected, rel=2e-3), width


def test_the_bounds_of_partitions_are_those_of_the_code() -> None:
    bounds = PartitionBounds()
    text = f"at most {bounds.rows:,} rows and {bounds.bytes / 2**20:g} MiB"
    assert text in PAGE
    # The narrowest rows are those of which no more would fit.
    (narrowest,) = re.findall(r"^\| up to (\d+) \|", PAGE, re.MULTILINE)
    assert int(narrowest) == round(bounds.bytes / bounds.rows)


def test_the_queries_run(hospital: ReadmeHospital) -> None:
    path, urls = hospital
    assert migrate(read_specification(path, urls)).status is ExitStatus.COMPLETE
    (queries,) = re.findall(r"^```sql\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    with psycopg.connect(urls["TARGET_URL"]) as connection:
        counts, failed, slowest = [
            connection.execute(query).fetchall() for query in queries.split(";") if query.strip()
        ]
    # The run was within the last minute.
    assert [(row[0], row[1], row[2], row[3]) for row in counts] == [
        ("conditions", 1, 0, 1),
        ("encounters", 1, 0, 1),
        ("patients", 1, 0, 1),
    ]
    assert all(row[4] > 0 for row in counts)
    assert not failed
    assert len(slowest) == 3


def test_the_flags_are_those_of_beam() -> None:
    found = re.findall(r"(?<![\w-])(--[a-z]+_[a-z_]+)(=[\w./:-]+)?", PAGE)
    # The pool of Beam is another program.
    others = OF_AN_ENGINE | {"--service_port"}
    written = {(flag, value) for flag, value in found if flag not in others}
    assert {("--flink_master", "=HOST:8081"), ("--autoscaling_algorithm", "=NONE")} <= written
    for flag, value in sorted(written):
        # Where a flag is only named it may be of either kind.
        forms = [f"{flag}{value}"] if value else [f"{flag}=1", flag]
        assert any(is_known([form]) for form in forms), f"{flag}{value}"
    assert not is_known(["--flink_mastre=HOST:8081"])


def is_known(flags: list[str]) -> bool:
    try:
        refuse_unknown(flags)
    except TransfuseError:
        return False
    return True


def test_exit_statuses_are_those_of_the_code() -> None:
    known = {str(int(status)) for status in ExitStatus}
    rows = rows_below("| what is done | what happens | exit status | run on |")
    assert {row[2] for row in rows} <= known | {"none"}
    assert {row[2] for row in rows} >= {"3", "4"}


def test_what_is_named_is_there() -> None:
    for path in re.findall(r"`(clusters/[\w.]+)`", PAGE):
        assert (PROJECT / path).exists(), path
    for module in re.findall(r"-m ((?:clusters|pipelines)[.\w]*)", PAGE):
        place = PROJECT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
    assert "not run" in section("Kubernetes").lower()
    assert "not run" in section("Dataflow").lower()
