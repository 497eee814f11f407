"""Rights and passwords that end in the middle of a run, and are given back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from schemas.errors import ErrorCode, ExitStatus
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.pipelines.two_databases import Row, TwoDatabases

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class AsMover(TwoDatabases):
    """Migrations by the role ``mover``, which has a password; scripts run as the owner."""

    @property
    def variables(self) -> dict[str, str]:
        urls = {"LEGACY_URL": self.legacy, "TARGET_URL": self.target}
        return {
            name: f"postgresql://mover:secret@/{database.name}?host={self._host(database.url)}"
            for name, database in urls.items()
        }

    @staticmethod
    def _host(url: str) -> str:
        return str(conninfo_to_dict(url)["host"])


@pytest.fixture
def as_mover(databases: TwoDatabases) -> Iterator[AsMover]:
    prepare(databases)
    (file,) = databases.target.values("SHOW hba_file")
    path = Path(file)
    known = path.read_text(encoding="utf-8")
    path.write_text(f"local all mover scram-sha-256\n{known}", encoding="utf-8")
    databases.target.run(
        "SELECT pg_reload_conf(); CREATE ROLE mover LOGIN PASSWORD 'secret';"
        f"GRANT CREATE ON DATABASE {databases.target.name} TO mover;"
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO mover;"
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO mover"
    )
    databases.legacy.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO mover")
    try:
        yield AsMover(databases.legacy, databases.target, databases.folder)
    finally:
        path.write_text(known, encoding="utf-8")
        databases.legacy.run("DROP OWNED BY mover")
        databases.target.run("SELECT pg_reload_conf(); DROP OWNED BY mover; DROP ROLE mover")


@pytest.mark.parametrize(
    ("lost", "given", "code"),
    [
        (
            "ALTER ROLE mover VALID UNTIL ''2020-01-01''",
            "ALTER ROLE mover VALID UNTIL 'infinity'",
            ErrorCode.CONN_002,
        ),
        (
            "REVOKE INSERT ON migration.migration_errors FROM mover",
            "GRANT INSERT ON migration.migration_errors TO mover",
            ErrorCode.USER_002,
        ),
        (
            "REVOKE INSERT ON migration.migration_keys FROM mover",
            "GRANT INSERT ON migration.migration_keys TO mover",
            ErrorCode.USER_002,
        ),
        (
            "REVOKE INSERT ON visits FROM mover",
            "GRANT INSERT ON visits TO mover",
            ErrorCode.USER_002,
        ),
    ],
    ids=["password", "error sink", "keys", "target"],
)
def test_what_ends_in_the_middle_and_comes_back(
    as_mover: AsMover, undisturbed: dict[str, list[Row]], lost: str, given: str, code: ErrorCode
):
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
