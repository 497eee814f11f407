from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.engines.pool_token import VARIABLE, is_permitted, read_or_create_token, read_token
from schemas.errors import ErrorCode, TransfuseError


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's state, which is empty."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_pool_and_launcher_of_one_user_have_the_same_token(state: Path) -> None:
    assert read_token() is None
    token = read_or_create_token()
    assert len(token) == 32
    assert (read_token(), read_or_create_token()) == (token, token)
    file = state / "transfuse" / "pool-token"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_pools_that_start_together_have_one_token(state: Path) -> None:
    file = state / "transfuse" / "pool-token"
    with ThreadPoolExecutor(8) as pools:
        for _ in range(300):
            tokens = {*pools.map(lambda _: read_or_create_token(), range(8))}
            assert tokens == {file.read_text()}
            file.unlink()
    assert not [*file.parent.iterdir()]


@pytest.mark.parametrize("content", [b"", b"0123", b"\xff" * 32])
def test_a_damaged_token_is_refused(state: Path, content: bytes) -> None:
    read_or_create_token()
    (state / "transfuse" / "pool-token").write_bytes(content)
    with pytest.raises(TransfuseError, match="must hold a token of at least 16 characters"):
        read_or_create_token()


def test_a_token_that_others_can_read_is_refused(state: Path) -> None:
    read_or_create_token()
    (state / "transfuse" / "pool-token").chmod(0o644)
    with pytest.raises(TransfuseError) as raised:
        read_token()
    (problem,) = raised.value.problems
    assert problem.code is ErrorCode.SYS_004
    assert problem.remedy.startswith("rm ")


@pytest.mark.usefixtures("state")
def test_a_token_of_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    read_or_create_token()
    monkeypatch.setenv(VARIABLE, "chosen-by-the-site")
    assert read_token() == "chosen-by-the-site"
    monkeypatch.setenv(VARIABLE, "short")
    with pytest.raises(TransfuseError):
        read_token()


def test_requests_with_another_token_or_none_are_not_permitted() -> None:
    token = "a-secret-of-pool-and-launcher"
    assert is_permitted({"transfuse_pool_token": token}, token)
    assert not is_permitted({"transfuse_pool_token": "näh"}, token)
    assert not is_permitted({}, token)
    assert not is_permitted({"transfuse_pool_token": ""}, "")
