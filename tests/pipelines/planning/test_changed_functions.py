"""Python functions that are changed while their job is unfinished."""

from __future__ import annotations

import json

import pytest

from pipelines import migrate, read_specification
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import SMALL_PARTITIONS, TwoDatabases

pytestmark = pytest.mark.slow

SPECIFICATION = """
tables:
  notes:
    from: notes
    key: [id]
    copy: [id, pad]
    fields: {text: {from: text, transform: "changing_notes:spelled"}}
"""
FUNCTIONS = """
import pyarrow.compute as pc
from changing_spelling import WORD
def spelled(texts):
    return pc.binary_join_element_wise(texts, WORD, "-")
"""
WORDS = "SELECT DISTINCT text FROM notes ORDER BY 1"


def test_a_changed_function_does_not_silently_make_the_rest(databases: TwoDatabases) -> None:
    notes = "CREATE TABLE notes (id int PRIMARY KEY, text text, pad text)"

    def spell(word: str) -> None:
        # A module beside the specification that the function's own imports.
        (databases.folder / "changing_spelling.py").write_text(f"WORD = '{word}'\n")

    (databases.folder / "changing_notes.py").write_text(FUNCTIONS)
    databases.legacy.run(
        f"{notes}; INSERT INTO notes SELECT i, 'x', repeat('n', 60) || i"
        " FROM generate_series(1, 4000) i"
    )
    databases.target.run(notes)
    databases.target.fill_up("notes", "new.id = 3990")
    spell("first")
    databases.migrate(SPECIFICATION, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    assert databases.target.values(WORDS) == ["x-first"]

    spell("other")
    (problem,) = databases.refused(SPECIFICATION, header=SMALL_PARTITIONS).problems
    assert problem.code is ErrorCode.USER_003
    assert "sha256 of its Python functions" in problem.message
    assert "--accept-changes" in str(problem)

    # A version that didn't store the digest has said nothing about the functions.
    ((stored,),) = databases.target.rows("SELECT definition FROM migration.migration_loads")
    before = json.loads(stored)
    del before["load"]["fields"]["text"]["sha256 of its Python functions"]
    change = "UPDATE migration.migration_loads SET definition = %s"
    databases.target.connection.execute(change, [json.dumps(before)])
    databases.migrate(SPECIFICATION, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    databases.target.connection.execute(change, [stored])

    databases.target.make_room("notes")
    path = databases.write(SPECIFICATION, SMALL_PARTITIONS)
    specification = read_specification(path, databases.variables)
    assert migrate(specification, accept_changes=True).status is ExitStatus.COMPLETE
    assert databases.target.values(WORDS) == ["x-first", "x-other"]
