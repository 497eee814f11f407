"""The secret by which a pool of Python workers knows a launcher of its own user.

Beam's protocol has no authentication: anybody who reached a pool could have it run anything as
the pool's user. So a request must carry a token, which goes with the job from the launcher by way
of the engine. On one machine both find it in a file of their user; elsewhere both get it in a
variable.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipelines.terminal.private_files import make_private_folder
from schemas.errors import ErrorCode, Problem, TransfuseError

VARIABLE = "TRANSFUSE_POOL_TOKEN"

PARAMETER = "transfuse_pool_token"
"""Under this name the token is among the parameters of a request for a worker."""

_SHORTEST = 16
"""Characters of a token that somebody has chosen."""


def token_file() -> Path:
    """Where the token of this user is, unless a variable has it."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "transfuse" / "pool-token"


def read_token() -> str | None:
    """The token of the variable, or else of the file; None where there is neither.

    Raises:
        TransfuseError: SYS-004 for a short token, and for a file that others can read.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        if len(chosen) < _SHORTEST:
            remedy = f"set it to the output of: openssl rand -hex {_SHORTEST}"
            message = f"a token has at least {_SHORTEST} characters"
            raise TransfuseError(Problem(ErrorCode.SYS_004, message, VARIABLE, remedy))
        return chosen
    with suppress(FileNotFoundError, RuntimeError):
        path = token_file()
        try:
            with path.open(encoding="ascii") as file:
                state = os.fstat(file.fileno())
                token = file.read().strip()
                private = state.st_uid == os.geteuid() and not stat.S_IMODE(state.st_mode) & 0o077
                if private and len(token) >= _SHORTEST:
                    return token
        except (PermissionError, UnicodeDecodeError):
            pass
        message = (
            f"the file must hold a token of at least {_SHORTEST} characters that only the user who"
            " runs this can read"
        )
        remedy = f"rm {path}, and start the pool again"
        raise TransfuseError(Problem(ErrorCode.SYS_004, message, str(path), remedy))
    return None


def read_or_create_token() -> str:
    """The token of this user; the file is made where there is none.

    Raises:
        TransfuseError: SYS-004 as ``read_token``, SYS-005 if the file can't be written.
    """
    token = read_token()
    if token is not None:
        return token
    try:
        _create_token(token_file())
    except (OSError, RuntimeError):
        message = "the token of the pool can't be stored"
        remedy = f"set {VARIABLE} to one secret for pool and launcher: openssl rand -hex 16"
        raise TransfuseError(
            Problem(ErrorCode.SYS_005, message, "~/.local/state/transfuse/pool-token", remedy)
        ) from None
    return read_token() or ""


def _create_token(path: Path) -> None:
    """Writes a new token, unless another pool has just done so.

    The file gets its name when it is complete, so that nobody reads half a token.
    """
    make_private_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SHORTEST))
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def is_permitted(parameters: Mapping[str, str], token: str) -> bool:
    """Whether a request for a worker has the token."""
    sent = parameters.get(PARAMETER, "")
    return bool(token) and hmac.compare_digest(sent.encode(), token.encode())
