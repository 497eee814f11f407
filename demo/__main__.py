"""``python -m demo``: what ``run_local.sh`` does around the migration itself."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from pathlib import Path

import psycopg

from demo import demo_server
from demo.fill_databases import Identity, fill_legacy, fill_target, identity_in
from demo.score import compare, read_expected, read_found
from demo.truth import make_hospital
from pipelines.terminal.child_command import run_child
from pipelines.terminal.private_files import keep_files_private
from pipelines.terminal.process_list import hide_arguments
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

STATE = Path(__file__).resolve().parent.parent / ".transfuse"
SERVER = STATE / "pg"
ENVIRONMENT = STATE / "demo.env"

PATIENTS = 50_000
FEWEST_PATIENTS = 100
SEED = 2015
LEGACY, TARGET = "legacy", "hospital"

NEXT = """\
What to try next, in this folder:
  . .transfuse/demo.env                    # sets LEGACY_URL and TARGET_URL
  .venv/bin/transfuse status demo/hospital.yaml
  .venv/bin/transfuse rejects list demo/hospital.yaml
  .venv/bin/transfuse rejects show demo/hospital.yaml {error}
  .venv/bin/transfuse try demo/hospital.yaml {load} --key {key}
  .venv/bin/transfuse plan demo/hospital.yaml
  ./run_local.sh                           # the job is complete: changes nothing
  ./run_local.sh --fresh --patients 5000   # another hospital, from the start
  ./run_local.sh --stop                    # stops the embedded PostgreSQL"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "setup":
            set_up(options.patients, options.fresh)
        elif options.verb == "score":
            return score()
        elif options.verb == "migrate":
            status = run_child(options.command)
            if status == ExitStatus.COMPLETE:
                score()
            return status
        else:
            stopped = demo_server.stop(SERVER)
            state = "is stopped" if stopped else "isn't running"
            print(f"The embedded PostgreSQL {state}.")
    except TransfuseError as error:
        print(error, file=sys.stderr)
        return int(error.status)
    except psycopg.Error as error:
        name = type(error).__name__
        print(f"The demo's databases can't be used as they are: {name}.", file=sys.stderr)
        return int(ExitStatus.INCOMPLETE)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    setup = verbs.add_parser("setup", help="start the server and fill the databases, once")
    setup.add_argument("--patients", type=int, help=f"how many ({PATIENTS:,})")
    setup.add_argument("--fresh", action="store_true", help="throw away what is there")
    verbs.add_parser("score", help="compare the violations with the injected faults")
    migrate = verbs.add_parser("migrate", help="run a migration, and score it if it is complete")
    migrate.add_argument("command", nargs=argparse.REMAINDER)
    verbs.add_parser("stop", help="stop the server")
    return parser


def set_up(patients: int | None, fresh: bool) -> None:
    """Leaves a running server with a legacy hospital and a target, and the file of their URLs.

    What is there already stays, unless ``fresh``. Raises TransfuseError with USER-001 if
    another hospital is there than the one asked for.
    """
    if patients is not None and patients < FEWEST_PATIENTS:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the demo needs at least {FEWEST_PATIENTS} patients, one for each kind of fault",
                "--patients",
            )
        )
    if fresh:
        demo_server.remove(SERVER)
    running = demo_server.start(SERVER)
    legacy, target = running.url(LEGACY), running.url(TARGET)
    there = identity_in(legacy) if running.has_database(LEGACY) else None
    if there is None:
        # Both again: rows that were migrated from another hospital doesn't fit this one.
        for name in (LEGACY, TARGET):
            running.create_database(name)
        _fill(Identity.of(patients or PATIENTS, SEED), legacy, target)
    else:
        _refuse_another(there, patients)
        print(f"The legacy hospital of {there.patients:,} patients is there from an earlier run.")
    lines = [f"{n}={shlex.quote(u)}" for n, u in (("LEGACY_URL", legacy), ("TARGET_URL", target))]
    ENVIRONMENT.write_text("\n".join([*lines, "export LEGACY_URL TARGET_URL", ""]))


def _refuse_another(there: Identity, patients: int | None) -> None:
    wanted = Identity.of(patients or there.patients, SEED)
    if there == wanted:
        return
    if there.patients != wanted.patients:
        message = f"there is a demo hospital of {there.patients:,} patients already"
    else:
        message = "the demo hospital that is there was made by another version of the generator"
    raise TransfuseError(
        Problem(
            ErrorCode.USER_001,
            message,
            str(SERVER),
            "--fresh throws it away with what was migrated, and makes a new one",
        )
    )


def _fill(identity: Identity, legacy: str, target: str) -> None:
    started = time.monotonic()
    print(f"Making a legacy hospital of {identity.patients:,} patients ...", flush=True)
    hospital, truth = make_hospital(identity.patients, identity.seed)
    fill_target(target, hospital)
    fill_legacy(legacy, hospital, truth, identity)
    print(
        f"... with {len(hospital.visits):,} visits, {len(hospital.diagnoses):,} diagnoses and"
        f" {truth.violations.num_rows:,} violations to find,"
        f" in {time.monotonic() - started:.1f} s."
    )


def score() -> int:
    """Prints how well the migration found the faults; 0 if it found them and nothing else."""
    running = demo_server.start(SERVER)
    legacy, target = running.url(LEGACY), running.url(TARGET)
    score = compare(read_expected(legacy), read_found(target))
    print("\nInjected faults, and the violations of the migration:\n")
    for line in score.lines():
        print(f"  {line}")
    print()
    print(NEXT.format(**_examples(target)))
    return 0 if score.is_perfect else int(ExitStatus.CRASH)


def _examples(target: str) -> dict[str, str]:
    """A rejected row that is worth a look: one with many violations."""
    query = (
        "SELECT min(id::text), source_key FROM migration_errors"
        " WHERE source_table LIKE '%legacy_patients'"
        " GROUP BY source_key ORDER BY count(*) DESC, source_key LIMIT 1"
    )
    with psycopg.connect(target) as connection:
        row = connection.execute(query).fetchone()
    error, key = row if row is not None else ("ID", "1")
    return {"error": str(error), "load": "patients", "key": str(key)}


if __name__ == "__main__":
    hide_arguments()
    keep_files_private()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
