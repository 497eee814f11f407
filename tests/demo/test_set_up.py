from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demo import __main__ as demo
from demo import demo_server
from schemas.errors import ErrorCode, TransfuseError


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder whose name has a blank and is too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        path = Path(folder) / "a folder" / ("x" * 100)
        monkeypatch.setattr(demo, "SERVER", path / "pg")
        monkeypatch.setattr(demo, "ENVIRONMENT", path / "demo.env")
        yield path
        demo_server.stop(path / "pg")


def patients(state: Path) -> int:
    """Counts the legacy patients the way a user's shell finds the database."""
    url = subprocess.run(
        [". ./demo.env; printf %s $LEGACY_URL"],
        shell=True, cwd=state, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM legacy_patients").fetchone()
    assert row is not None
    return int(row[0])


def postmaster(state: Path) -> str:
    return (state / "pg" / "postmaster.pid").read_text().splitlines()[0]


def test_the_demo_is_set_up_once_and_anew_on_request(state: Path) -> None:
    demo.set_up(100, fresh=False)
    made, pid = patients(state), postmaster(state)
    assert made >= 100

    demo.set_up(None, fresh=False)
    demo.set_up(100, fresh=False)
    assert (patients(state), postmaster(state)) == (made, pid)

    with pytest.raises(TransfuseError) as refused:
        demo.set_up(150, fresh=False)
    (problem,) = refused.value.problems
    assert problem.code is ErrorCode.USER_001
    assert "100 patients" in problem.message
    assert "--fresh" in problem.remedy
    assert patients(state) == made

    demo.set_up(150, fresh=True)
    assert patients(state) >= 150


@pytest.mark.slow
def test_a_stopped_and_a_crashed_server_start_again_with_their_data(state: Path) -> None:
    demo.set_up(100, fresh=False)
    made = patients(state)
    assert demo_server.stop(state / "pg")
    assert not demo_server.stop(state / "pg")

    # After a crash the number in the pid file may be that of any process.
    (state / "pg" / "postmaster.pid").write_text(f"{os.getpid()}\n{state / 'pg'}\n")
    demo.set_up(None, fresh=False)
    assert patients(state) == made
    assert postmaster(state) != str(os.getpid())


def test_too_small_a_hospital_is_refused_before_anything_starts(state: Path) -> None:
    with pytest.raises(TransfuseError, match="at least 100 patients"):
        demo.set_up(99, fresh=False)
    assert not state.exists()


def test_a_socket_is_not_put_where_somebody_else_has_prepared_a_place(
    state: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    sockets = demo_server._socket_folder((state / "pg").resolve())
    assert sockets.parent == Path(tempfile.gettempdir())
    sockets.symlink_to(theirs)
    try:
        with pytest.raises(TransfuseError) as refused:
            demo.set_up(100, fresh=False)
    finally:
        sockets.unlink()
    assert refused.value.problems[0].code is ErrorCode.SYS_005
    assert theirs.stat().st_mode & 0o777 == 0o755
