"""The log of an engine's workers: on stderr with all fields, and in files on request."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.logs.worker_log import FOLDER_VARIABLE
from tests.support.project import PROJECT

WORKER = """
import logging
from pipelines.engines import worker
from schemas.errors import ErrorCode
from transforms.model.log_event import EventPlace, log_event

place = EventPlace("moved", 3, "people", "000007")
with worker.worker_log_files():
    logger = logging.getLogger("transfuse.steps")
    log_event(logger, logging.INFO, "partition committed", place)
    log_event(logger, logging.ERROR, "the server is gone", place, ErrorCode.CONN_004)
    logging.getLogger("apache_beam").warning("hello")
    try:
        raise ValueError("Roe")
    except ValueError:
        logging.getLogger("apache_beam").exception("Roe")
"""


def work(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name != "TRANSFUSE_DEBUG"}
    return subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=PROJECT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_stderr_has_all_fields() -> None:
    lines = work().stderr.splitlines()
    assert [re.sub(r"^[\d-]{10} [\d:.]{12} ", "", line) for line in lines] == [
        "job=moved run=3 load=people partition=000007 INFO partition committed",
        "job=moved run=3 load=people partition=000007 ERROR CONN-004 the server is gone",
        "WARNING hello",
        "ERROR apache_beam: ValueError",
    ]


@pytest.mark.slow
def test_files_are_written_into_a_folder_of_the_environment(tmp_path: Path) -> None:
    assert work(**{FOLDER_VARIABLE: str(tmp_path / "log")}).returncode == 0
    assert "partition committed" in (tmp_path / "log" / "application.log").read_text()
    assert "CONN-004 the server is gone" in (tmp_path / "log" / "error.log").read_text()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_ends_a_worker(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines.engines.worker", "127.0.0.1:1", "worker"],
        cwd=PROJECT,
        env=os.environ | {FOLDER_VARIABLE: str(tmp_path / "file")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "SYS-004 " in ended.stderr
    assert "Traceback" not in ended.stderr
