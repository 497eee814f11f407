"""Rights and passwords that end in the middle of a run, and are given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.as_role import ROLE, AsRole, as_role
from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare

pytestmark = pytest.mark.slow


@pytest.fixture
def as_mover(databases: TwoDatabases) -> Iterator[AsRole]:
    """The role has to give its password, so that this can expire."""
    prepare(databases)
    (file,) = databases.target.values("SHOW hba_file")
    path = Path(file)
    known = path.read_text(encoding="utf-8")
    path.write_text(f"local all {ROLE} scram-sha-256\n{known}", encoding="utf-8")
    databases.target.run("SELECT pg_reload_conf()")
    try:
        with as_role(databases) as made:
            yield made
    finally:
        path.write_text(known, encoding="utf-8")
        databases.target.run("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("lost", "given", "code"),
    [
        (
            f"ALTER ROLE {ROLE} VALID UNTIL ''2020-01-01''",
            f"ALTER ROLE {ROLE} VALID UNTIL 'infinity'",
            ErrorCode.CONN_002,
        ),
        (
            f"REVOKE INSERT ON migration.migration_errors FROM {ROLE}",
            f"GRANT INSERT ON migration.migration_errors TO {ROLE}",
            ErrorCode.USER_002,
        ),
        (
            f"REVOKE INSERT ON migration.migration_keys FROM {ROLE}",
            f"GRANT INSERT ON migration.migration_keys TO {ROLE}",
            ErrorCode.USER_002,
        ),
        (
            f"REVOKE INSERT ON visits FROM {ROLE}",
            f"GRANT INSERT ON visits TO {ROLE}",
            ErrorCode.USER_002,
        ),
    ],
    ids=["password", "error sink", "keys", "target"],
)
def test_what_ends_in_the_middle_and_comes_back(
    as_mover: AsRole, undisturbed: dict[str, list[Row]], lost: str, given: str, code: ErrorCode
) -> None:
    """It ends when the first level is settled, so that the second can't be done."""
    as_mover.target.run(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        f"  EXECUTE '{lost}'; RETURN new; END $$;"
        "CREATE TRIGGER lose BEFORE UPDATE ON people FOR EACH ROW WHEN (new.id = 5)"
        " EXECUTE FUNCTION lose()"
    )
    outcome = as_mover.migrate(SPECIFICATION, header=SMALL, expected=ExitStatus.INCOMPLETE)
    assert {problem.code for problem in outcome.problems} == {code}
    assert outcome.summary.tables["people"].partitions_done > 0
    assert outcome.summary.tables["visits"].partitions_done == 0
    as_mover.target.run(f"DROP TRIGGER lose ON people; {given}")
    as_mover.migrate(SPECIFICATION, header=SMALL)
    assert content(as_mover) == undisturbed
