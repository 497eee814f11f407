"""The catalogue has every fact, statement and command of the guide itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

import psycopg
import pytest

from schemas.errors import Category, ErrorCode, Severity
from schemas.guide.error_categories import CATEGORIES
from schemas.guide.escalation_matrix import MATRIX
from schemas.guide.guide_catalogue import GUIDE
from schemas.guide.guide_procedures import PROCEDURES
from schemas.guide.guide_step import GuideStep
from schemas.guide.support_levels import RESPONSES, SupportLevel
from tests.support.project import PROJECT

PATH = PROJECT.parent / "shared" / "troubleshooting-guide.md"

TABLES = """
CREATE TABLE patients (id int, patient_id text, first_name text, last_name text, birth_date text,
    created_at timestamptz);
CREATE INDEX idx_patients_patient_id ON patients (patient_id);
CREATE TABLE patient_visits (patient_id text);
CREATE TABLE legacy_diagnoses (diagnosis_code text);
CREATE TABLE migration_errors (error_type text, error_code text, created_at timestamptz);
CREATE DATABASE healthcare_db;
CREATE ROLE migration_user
"""
"""The tables of the guide's statements."""


@pytest.fixture(scope="module")
def guide() -> str:
    if not PATH.is_file():
        pytest.skip(
            "../shared/troubleshooting-guide.md is not here: the guide's text isn't compared"
        )
    return PATH.read_text(encoding="utf-8")


def steps() -> Iterator[GuideStep]:
    yield from chain.from_iterable(entry.steps for entry in GUIDE.values())
    yield from chain.from_iterable(procedure.steps for procedure in PROCEDURES)


def section(guide: str, title: str, marks: str) -> str:
    (text,) = re.findall(
        rf"^{marks} {re.escape(title)}\n(.*?)(?=^#{{1,{len(marks)}}} )", guide, re.S | re.M
    )
    return str(text)


def test_the_twenty_codes_are_those_of_the_guide(guide: str) -> None:
    rows = re.findall(r"^\| ([A-Z]+-\d{3}) \| ([^|]+) \| (\w+) \|", guide, re.M)
    assert len(rows) == 20
    assert rows == [
        (code.value, code.description, code.severity.label)
        for code in ErrorCode
        if code.category is not Category.USER
    ]


def test_the_severities_are_those_of_the_guide(guide: str) -> None:
    text = section(guide, "Error Severity Levels", "###")
    parts = re.findall(r"^#### \S+ (\w+) \(Severity (\d)\)\n(.*?)(?=^####|\Z)", text, re.S | re.M)
    units = {"minutes": "minutes", "hour": "hours", "hours": "hours"}
    assert len(parts) == 4
    for (name, number, facts), severity in zip(parts, Severity, strict=True):
        assert (name, int(number)) == (severity.label, severity)
        response = RESPONSES[severity]
        values = dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", facts, re.M))
        assert values["Impact"] == response.impact
        assert values["Escalation"] == response.escalation
        count, unit = re.findall(r"(\d+) (minutes|hours?)", values["Response Time"])[0]
        assert response.response_time == timedelta(**{units[unit]: int(count)})
        level = re.search(r"Level (\d)", response.escalation)
        assert response.support_level == (int(level[1]) if level else SupportLevel.LEVEL_1)


def test_levels_categories_and_matrix_are_those_of_the_guide(guide: str) -> None:
    levels = re.findall(r"^- \*\*(Level \d)\*\*: (.+)$", guide, re.M)
    assert levels == [(level.label, level.purpose) for level in SupportLevel]
    text = section(guide, "Error Categories", "###")
    categories = re.findall(r"^#### (.+) \((\w+)\)\n((?:- .+\n)+)", text, re.M)
    assert [(t, p, tuple(re.findall("^- (.+)$", k, re.M))) for t, p, k in categories] == [
        (contents.title, contents.prefix, contents.kinds) for contents in CATEGORIES.values()
    ]
    rows = section(guide, "Escalation Matrix", "###").strip().splitlines()[2:]
    cells = [tuple(cell.strip() for cell in row.split("|")[1:-1]) for row in rows]
    assert cells == [(issue.value, *contacts.values()) for issue, contacts in MATRIX.items()]


def plain(text: str) -> str:
    """A statement with single blanks, without comments and the semicolon at its end."""
    return " ".join(re.sub(r"^\s*(--|#).*$", "", text, flags=re.M).split()).rstrip("; ")


def blocks(guide: str, language: str) -> list[str]:
    """The fenced blocks of a language; the last one of the guide isn't closed."""
    return re.findall(rf"^\s*```{language}\n(.*?)(?:^\s*```|<!--)", guide, re.S | re.M)


def replaced() -> list[str]:
    return [plain(words) for step in steps() for words in step.replaces]


def is_replaced(statement: str) -> bool:
    return any(statement.startswith(words) for words in replaced())


def test_every_statement_of_the_guide_runs_or_is_replaced(guide: str, database: str) -> None:
    parts = [plain(part) for block in blocks(guide, "sql") for part in block.split(";")]
    statements = [part for part in parts if part]
    assert len(statements) > 25
    with psycopg.connect(database, autocommit=True) as connection:
        existing = connection.execute(
            "SELECT 1 FROM pg_roles WHERE rolname = 'migration_user'"
        ).fetchone()
        assert existing is None
        for table in TABLES.split(";"):
            connection.execute(table.encode())
        try:
            for statement in statements:
                if is_replaced(statement):
                    continue
                connection.execute(statement.encode())
        finally:
            connection.execute("DROP DATABASE healthcare_db")
            connection.execute("DROP OWNED BY migration_user")
            connection.execute("DROP ROLE migration_user")


NO_COMMANDS = re.compile(r"(echo|if|else|fi)\b|#!")
"""Lines of the guide's script that only print or decide."""


def test_every_command_of_the_guide_is_printed_or_replaced(guide: str) -> None:
    printed = {line for step in steps() for line in step.command.splitlines()}
    printed |= {re.sub(r"\{host\}", "database-server.com", line) for line in printed}
    lines = [plain(line) for block in blocks(guide, "bash") for line in block.splitlines()]
    commands = [line for line in lines if line and not NO_COMMANDS.match(line)]
    assert len(commands) > 40
    missing = [line for line in commands if line not in printed and not is_replaced(line)]
    assert not missing


def test_every_replacement_stands_for_something_and_says_why(guide: str) -> None:
    codes = blocks(guide, "sql") + blocks(guide, "bash")
    parts = [plain(part) for block in codes for part in (*block.split(";"), *block.splitlines())]
    for step in steps():
        assert bool(step.replaces) == bool(step.differs), step
        for words in step.replaces:
            assert any(part.startswith(plain(words)) for part in parts), words
