"""What is put aside on disk comes back, and leaves no file behind."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.direct_calls.empty_context import EMPTY_CONTEXT
from transforms.resources.spill import drop_at_end, load_stream, store_stream


def test_streams_of_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    streams = [bytes([number % 256]) * (number * 37) for number in range(500)]
    with drop_at_end(), ThreadPoolExecutor(8) as threads:
        places = list(threads.map(lambda stream: store_stream(EMPTY_CONTEXT, stream), streams))
        assert max(map(len, places)) < 100
        assert list(threads.map(lambda place: load_stream(EMPTY_CONTEXT, place), places)) == streams
        assert list(tmp_path.iterdir()) == []


def test_another_process_gets_the_stream_itself() -> None:
    elsewhere = replace(EMPTY_CONTEXT, in_process=False)
    assert store_stream(elsewhere, b"keys") == b"keys"
    assert load_stream(elsewhere, b"keys") == b"keys"
