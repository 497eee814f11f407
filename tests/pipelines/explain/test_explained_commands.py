"""What ``explain`` prints works: statements on real servers, commands by the parser."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from pipelines.cli.grammar import new_parser
from pipelines.explain.job_facts import JobFacts
from pipelines.explain.job_reader import read_job_facts
from schemas.control_tables import control_metadata
from schemas.guide.guide_queries import SLOW_QUERIES
from schemas.guide.guide_step import CommandLanguage
from tests.support.databases.two_databases import Database, TwoDatabases
from tests.support.jobs.explained_steps import explained_commands
from tests.support.project import PROJECT
from tests.support.servers.debian_server import debian_server

DEMO = PROJECT / "demo"

PG_STAT_STATEMENTS = """
CREATE VIEW pg_stat_statements AS SELECT ''::text AS query, 1::bigint AS calls,
    1::float AS total_exec_time, 1::float AS mean_exec_time, 1::bigint AS rows,
    1::bigint AS shared_blks_hit, 1::bigint AS shared_blks_read
"""
"""The columns of the extension since PostgreSQL 13; the embedded server doesn't come with it."""

NETWORKED = {
    "LEGACY_URL": "postgresql://reader:zXq7secret@old-server:5433/his?password=zXq7secret",
    "TARGET_URL": "postgresql://writer:zXq7secret@new-server/hospital",
}


def facts_for(databases: TwoDatabases) -> JobFacts:
    """The facts of the demo, whose tables are made in both databases."""
    databases.legacy.run((DEMO / "legacy_schema.sql").read_text())
    databases.target.run((DEMO / "target_schema.sql").read_text())
    databases.target.run("CREATE SCHEMA migration")
    url = databases.target.url.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    control_metadata("migration").create_all(engine)
    engine.dispose()
    for database in (databases.legacy, databases.target):
        database.run(PG_STAT_STATEMENTS)
    return read_job_facts(specification(databases.folder), databases.variables)


def specification(folder: Path) -> Path:
    """The specification of the demo, with a control schema."""
    path = folder / "hospital.yaml"
    text = (DEMO / "hospital.yaml").read_text()
    assert 'target: {url: "${TARGET_URL}"}' in text
    path.write_text(text.replace('${TARGET_URL}"}', '${TARGET_URL}", control_schema: migration}'))
    return path


def run(database: Database, statement: str) -> None:
    """Runs a statement without leaving a change, where the server can take it back."""
    connection = database.connection
    if "CONCURRENTLY" in statement:
        connection.execute(statement.encode())
        return
    with connection.transaction(force_rollback=True):
        connection.execute(statement.encode())


def test_every_statement_runs(databases: TwoDatabases) -> None:
    facts = facts_for(databases)
    by_place = {facts.target.place: databases.target}
    by_place |= {source.place: databases.legacy for source in facts.sources}
    ran = set()
    for belongs_to, place, statement in explained_commands(facts, CommandLanguage.SQL):
        if (place, statement) in ran:
            continue
        ran.add((place, statement))
        try:
            run(by_place[place], statement)
        except Exception as error:
            raise AssertionError(f"{belongs_to}, {place}: {statement}") from error
    assert len(ran) > 100


def test_every_command_of_transfuse_is_accepted(tmp_path: Path) -> None:
    facts = read_job_facts(specification(tmp_path), NETWORKED, "a job")
    parser = new_parser()
    accepted = set()
    for _, _, text in explained_commands(facts, CommandLanguage.SHELL):
        for line in text.splitlines():
            line = line.removeprefix("TRANSFUSE_DEBUG=1 ")
            if not line.startswith("transfuse ") or "--help" in line:
                continue
            words = shlex.split(re.sub(r" > \S+$", "", line))
            parsed, flags = parser.parse_known_args(words[1:])
            assert not flags or parsed.takes_flags, line
            accepted.add(parsed.run.__name__)
    assert accepted >= {"migrate", "plan", "try_row", "status", "rejects_list", "codes_import"}


@pytest.mark.parametrize("job", [None, "other"])
def test_no_placeholder_and_no_password_is_left(tmp_path: Path, job: str | None) -> None:
    facts = read_job_facts(specification(tmp_path), NETWORKED, job)
    assert not facts.notes
    texts = [
        text
        for language in (CommandLanguage.SHELL, CommandLanguage.SQL, CommandLanguage.PG_HBA)
        for _, place, text in explained_commands(facts, language)
    ]
    for text in texts:
        assert not re.search(r"\{[a-z_]+\}", text), text
        words = r"\b(HOST|PORT|DATABASE_NAME|ROLE_NAME|SPEC|JOB|LOAD|\w+_(TABLE|COLUMNS?))\b"
        assert not re.search(words, text), text
    everything = "\n".join(texts) + repr(facts)
    assert "zXq7" not in everything
    for name in ("old-server:5433", "hospital", "reader", "writer", "migration.migration_errors"):
        assert name in everything
    assert ("--job other" in everything) is (job is not None)


@pytest.mark.slow
def test_the_columns_of_pg_stat_statements_are_those_of_the_extension() -> None:
    with debian_server() as url:
        if url is None:
            pytest.skip("no PostgreSQL of Debian; the embedded one has no extensions")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            # EXPLAIN alone, since the server would have to load the extension when it starts.
            connection.execute(f"EXPLAIN {SLOW_QUERIES.command}".encode())
