"""Databases in SQL_ASCII: what is exact in them is said, and it is."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run_json


def test_text_is_utf8_or_rejected(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = conninfo_to_dict(server)["host"]
    names = ("bytes_legacy", "bytes_target")
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names:
            connection.execute(
                sql.SQL(
                    "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
                ).format(sql.Identifier(name))
            )
        legacy, target = (f"postgresql://postgres@/{name}?host={host}" for name in names)
        databases = TwoDatabases.at(legacy, target, tmp_path)
        try:
            databases.legacy.run(
                "CREATE TABLE people (id int PRIMARY KEY, name text);"
                "INSERT INTO people VALUES (1, 'Müller'),"
                " (2, convert_from('\\x4dfc6c6c6572', 'SQL_ASCII'))"
            )
            databases.target.run("CREATE TABLE people (id int PRIMARY KEY, name text)")
            databases.write("tables: {people: {from: people, key: [id], copy: [id, name]}}\n")
            document = run_json(databases, capsys, ["migrate", "SPEC"])
            places = [(p["code"], p["where"]) for p in document["problems"]]
            assert places == [("SYS-004", "source"), ("SYS-004", "target")]
            assert databases.target.rows("SELECT id, name FROM people") == [(1, "Müller")]
            assert databases.errors("source_key, error_code") == [("2", "DATA-003")]
        finally:
            databases.legacy.hang_up()
            databases.target.hang_up()
            for name in names:
                connection.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                )
