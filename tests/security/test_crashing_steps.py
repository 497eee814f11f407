"""A step that raises what nobody foresaw ends the run without a word of what was raised."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.project import PROJECT

PATIENT = "Ruth Roe"

CRASH = f"""
import sys

from pipelines.logs.stderr_log import log_to_stderr

log_to_stderr()

import apache_beam as beam

from pipelines.engines.engine import run_to_the_end
from pipelines.cli.reports.refusal import failure_of, print_refusal
from pipelines.engines.runner import pipeline_of


class Panic(BaseException):
    pass


def crash(number):
    if number == 3:
        raise {{}}("{PATIENT}")


pipeline, _ = pipeline_of(["--direct_num_workers={{}}"], 1, 4)
pipeline | beam.Create(list(range(8))) | beam.Reshuffle() | beam.Map(crash)
try:
    run_to_the_end(pipeline)
except Exception as error:
    sys.exit(print_refusal(*failure_of(error), as_json=False))
"""


@pytest.mark.parametrize(
    ("raised", "workers"), [("Panic", 1), pytest.param("SystemExit", 4, marks=pytest.mark.slow)]
)
def test_what_was_raised_is_not_shown(raised: str, workers: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASH.format(raised, workers)],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "TRANSFUSE_DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "SYS-003 " in ended.stderr
    assert PATIENT not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
