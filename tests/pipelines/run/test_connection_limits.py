"""``limits.connections``: how many sessions a run has at each database.

The launcher has one more at each source, for the snapshot, and two at the target: the job's
lock, and the progress.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pipelines.cli.main import main
from schemas.errors import ExitStatus
from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare


@pytest.fixture
def mover(databases: TwoDatabases) -> Iterator[str]:
    """A role that the server lets have no more connections to a database than its limit."""
    name = f"mover_{os.getpid()}"
    databases.target.run(
        f"CREATE ROLE {name} LOGIN;"
        f'GRANT CREATE ON DATABASE "{databases.target.name}" TO {name};'
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}"
    )
    yield name
    databases.target.run(f"DROP OWNED BY {name}")
    databases.legacy.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 2])
def test_a_run_keeps_to_its_connections(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    request: pytest.FixtureRequest,
    limit: int,
) -> None:
    prepare(databases)
    mover = request.getfixturevalue("mover")
    databases.legacy.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {mover}")
    for database, launcher in ((databases.legacy, 1), (databases.target, 2)):
        # And one for the test's own session.
        sessions = limit + launcher + 1
        database.run(f'ALTER DATABASE "{database.name}" CONNECTION LIMIT {sessions}')
    # Tried again, because a session that was closed takes a moment to be gone.
    header = SMALL.replace("attempts: 1, delay: 10ms}", "attempts: 6, delay: 50ms}").replace(
        "memory:", f"connections: {{source: {limit}, target: {limit}}}, memory:"
    )
    for name, database in (("LEGACY", databases.legacy), ("TARGET", databases.target)):
        header = header.replace(f"${{{name}_URL}}", database.url.replace("postgres@", f"{mover}@"))
    assert databases.migrate(SPECIFICATION, header=header).problems == ()
    # The partitions are others, since each worker has another share of the memory.
    found = content(databases)
    assert all(found[name] == undisturbed[name] for name in ("people", "visits", "totals"))


def test_more_workers_than_connections_are_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    path = databases.write(
        SPECIFICATION, SMALL.replace("memory:", "connections: {target: 3}, memory:")
    )
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    flags = ["--direct_num_workers=4"]
    assert main(["migrate", str(path), *variables, *flags]) == ExitStatus.REFUSED
    assert "USER-001 --direct_num_workers=4" in capsys.readouterr().err
    assert databases.target.values("SELECT to_regnamespace('migration')") == [None]
