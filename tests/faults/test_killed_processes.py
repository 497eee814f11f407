"""kill -9 at any moment: the next run brings the job to the end of an undisturbed one."""

from __future__ import annotations

import random
import subprocess
from contextlib import suppress

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs import other_processes
from tests.support.runs.child_runs import LONGEST, assert_nothing_left, kill_all, start, workers_of
from tests.support.seeds import seeds

PATIENCE = 20.0
"""Seconds that an operator gives a run of which a worker was killed."""

AFTER_LOAD = SMALL.replace(
    "control_schema: migration}", "control_schema: migration, indexes: after_load}"
)

INDEXES = """
CREATE INDEX people_by_name ON people (name);
CREATE INDEX visits_of_person ON visits (person, note);
CREATE INDEX long_totals ON totals (lower(name)) WHERE length(name) > 41;
"""

EVERY_INDEX = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(10, 40))
def test_a_run_that_is_killed_at_any_moment(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    usual_seconds: float,
    seed: int,
) -> None:
    chance = random.Random(seed)
    prepare(databases)
    header = chance.choice([SMALL, AFTER_LOAD])
    databases.target.run(INDEXES)
    indexes = databases.target.rows(EVERY_INDEX)
    path = databases.write(SPECIFICATION, header)
    kills = chance.randint(1, 2)
    print(f"seed {seed}: {kills} kills, usual run {usual_seconds:.1f} s")
    for _ in range(kills):
        several = chance.random() < 0.25
        moment = chance.uniform(0.25, 1.0) * usual_seconds * (2 if several else 1)
        process = start(databases, path, other_processes.FLAGS if several else ())
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            workers = workers_of(process)
            if workers and chance.random() < 0.5:
                victim = chance.choice(workers)
                print(f"{victim.name()} killed after {moment:.2f} s")
                victim.kill()
                # It goes on without, or ends as crashed or incomplete. Beam waits for a worker
                # that was killed before it has reported for work; then an operator ends the run.
                with suppress(subprocess.TimeoutExpired):
                    assert process.wait(timeout=PATIENCE) in (0, 1, 3)
            else:
                print(f"all killed after {moment:.2f} s")
        kill_all(process)
    process = start(databases, path)
    try:
        assert process.wait(timeout=LONGEST) == 0, (databases.folder / "run.log").read_text()
    finally:
        kill_all(process)
    assert content(databases) == undisturbed
    assert databases.target.rows(EVERY_INDEX) == indexes
    assert_nothing_left(databases)
