from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.pool_token import VARIABLE, is_permitted, read_or_create_token, read_token
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
