"""Loads the MIMIC-III files into a legacy database as they are: every column is text.

    python specs/load_mimic3.py FOLDER URL

Each ``NAME.csv.gz`` of the folder becomes the table ``name`` with the columns of its header,
in lower case (the releases of MIMIC-III differ in case and in quoting). An empty cell is
NULL, a quoted empty one ``''``.
"""

from __future__ import annotations

import csv
import gzip
import sys
from pathlib import Path

import psycopg
from psycopg import sql

CHUNK = 2**20
"""Bytes handed to the server at once."""


def load_folder(folder: Path, url: str) -> dict[str, int]:
    """Loads all files of ``folder`` in one transaction; gives the rows of each table.

    Raises FileNotFoundError where there is no such file, psycopg.errors.DuplicateTable
    where a table is there already.
    """
    paths = sorted(folder.glob("*.csv.gz"))
    if not paths:
        raise FileNotFoundError(f"no .csv.gz file in {folder}")
    with psycopg.connect(url) as connection:
        return dict(_load(path, connection) for path in paths)


def _load(path: Path, connection: psycopg.Connection) -> tuple[str, int]:
    table = path.name.removesuffix(".csv.gz").lower()
    with gzip.open(path, "rb") as file:
        (header,) = csv.reader([file.readline().decode("utf-8-sig")])
        columns = [sql.SQL("{} text").format(sql.Identifier(name.lower())) for name in header]
        connection.execute(
            sql.SQL("CREATE TABLE {} ({})").format(
                sql.Identifier(table), sql.SQL(", ").join(columns)
            )
        )
        with connection.cursor() as cursor:
            statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv, ENCODING 'UTF8')")
            with cursor.copy(statement.format(sql.Identifier(table))) as copy:
                while chunk := file.read(CHUNK):
                    copy.write(chunk)
            return table, cursor.rowcount


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python specs/load_mimic3.py FOLDER URL", file=sys.stderr)
        return 2
    try:
        loaded = load_folder(Path(arguments[0]), arguments[1])
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    except psycopg.errors.DuplicateTable as error:
        print(f"nothing was loaded: {error.diag.message_primary}", file=sys.stderr)
        return 2
    for table, rows in loaded.items():
        print(f"{table:<16} {rows:>7,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
