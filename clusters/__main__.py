"""``python -m clusters``: what ``run_cluster.sh`` does around the demo itself."""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clusters.cluster_engine import HOST, Cluster, Engine, Installation
from clusters.flink import FLINK
from clusters.jars import fetch_jars, read_lock, repository
from clusters.java import find_java
from clusters.job_server_jar import write_job_server_jar
from clusters.lock import write_lock
from clusters.processes import Processes, free_ports, listens
from clusters.spark import SPARK
from pipelines.logs.stderr_log import log_to_stderr
from pipelines.terminal.child_command import run_child
from pipelines.terminal.private_files import keep_files_private
from pipelines.terminal.process_list import hide_arguments
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

ENGINES = {engine.name: engine for engine in (FLINK, SPARK)}

OPERATOR = "operator"
"""Flink's operator for Kubernetes: nothing of it runs here, its jar has the schema of manifests."""

HERE = Path(__file__).resolve().parent
STATE = HERE.parent / ".transfuse"
JARS = STATE / "jars"


def main(arguments: list[str] | None = None) -> int:
    log_to_stderr()
    parser = _parser()
    options, flags = parser.parse_known_args(arguments)
    if flags and options.verb != "migrate":
        parser.error(f"unrecognized arguments: {' '.join(flags)}")
    engine = ENGINES.get(getattr(options, "engine", ""), FLINK)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        if options.verb == "fetch" and options.engine == OPERATOR:
            print(fetch_operator())
        elif options.verb == "fetch":
            print(install(engine).job_server)
        elif options.verb == "migrate":
            return migrate(engine, options.specification, flags, options.keep)
        elif options.verb == "lock":
            count = write_lock(options.listing, _lock(engine), JARS, repository())
            print(f"{_lock(engine)}: {count} jars")
        else:
            stop_all()
    except TransfuseError as error:
        print(error, file=sys.stderr)
        return int(error.status)
    except OSError as error:
        print(_unusable_file(error), file=sys.stderr)
        return int(ExitStatus.INCOMPLETE)
    except KeyboardInterrupt:
        return int(ExitStatus.STOPPED)
    return 0


def _unusable_file(error: OSError) -> Problem:
    message = f"it can't be used: {error.strerror or type(error).__name__}"
    remedy = "make room, or give the right to use it: a run with sudo leaves files of root's"
    return Problem(ErrorCode.SYS_005, message, str(error.filename or STATE), remedy)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clusters", description=__doc__, allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetch = verbs.add_parser(
        "fetch",
        help="download an engine, and print its job server's jar; or the jar of Flink's operator,"
        " with which manifests are tested",
    )
    migrate = verbs.add_parser(
        "migrate", help="run 'transfuse migrate' on a cluster", allow_abbrev=False
    )
    verbs.add_parser("stop", help="stop all clusters of this checkout")
    lock = verbs.add_parser("lock", help="write an engine's lock file again")
    fetch.add_argument("engine", choices=(*ENGINES, OPERATOR))
    for verb in (migrate, lock):
        verb.add_argument("engine", choices=ENGINES)
    migrate.add_argument("specification", metavar="SPEC")
    migrate.add_argument("--keep", action="store_true", help="leave the cluster running")
    lock.add_argument("listing", type=Path, help="what 'mvn dependency:list' has written")
    return parser


def _lock(engine: Engine) -> Path:
    return HERE / f"{engine.name}.lock"


def install(engine: Engine) -> Installation:
    """The engine's files, downloaded as far as they are missing.

    Raises TransfuseError as ``find_java`` and ``fetch_jars`` do.
    """
    java = find_java(engine.java)
    jars = read_lock(_lock(engine))
    fetch_jars(jars, JARS, repository())
    names = tuple(jar.name for jar in jars)
    job_server = JARS / f"{engine.name}-job-server.jar"
    write_job_server_jar(job_server, engine.driver, names, engine.opens)
    return Installation(java, JARS, names, job_server)


def fetch_operator() -> Path:
    """The jar of Flink's operator, downloaded where it is missing. Raises as ``fetch_jars``."""
    (jar,) = read_lock(HERE / f"{OPERATOR}.lock")
    fetch_jars([jar], JARS, repository())
    return JARS / jar.name


def migrate(engine: Engine, specification: str, flags: Sequence[str], keep: bool) -> int:
    """Starts a cluster, migrates on it, and stops it unless ``keep``; gives the migration's exit
    status. Raises TransfuseError where there is no cluster to run on."""
    folder = STATE / engine.name
    with _alone(folder):
        installation = install(engine)
        processes = Processes(folder)
        if processes.stop():
            print(f"Stopped the {engine.name} cluster of an earlier run.", file=sys.stderr)
        kept = False
        try:
            cluster = start_cluster(engine, processes, installation)
            command = [sys.executable, "-m", "pipelines", "migrate", specification]
            status = run_child([*command, *cluster.flags, *flags], cluster.environment)
            kept = keep
        finally:
            if not kept:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                processes.stop()
    if kept:
        print(_message_of(engine, cluster), file=sys.stderr)
    return status


def start_cluster(engine: Engine, processes: Processes, installation: Installation) -> Cluster:
    """Starts a cluster with a pool of Python workers. Raises TransfuseError (SYS-005) where one of
    its processes ends, or takes too long."""
    started = time.monotonic()
    print(f"Starting a {engine.name} cluster ...", file=sys.stderr, flush=True)
    (port,) = free_ports(1)
    pool = [sys.executable, "-m", "pipelines.engines.worker_pool", str(port)]
    processes.start("worker pool", pool)
    cluster = engine.start(processes, installation)
    processes.wait_until(lambda: listens(port), "the pool of Python workers answers")
    seconds = time.monotonic() - started
    print(f"... at {cluster.web}, in {seconds:.1f} s.", file=sys.stderr, flush=True)
    workers = ("--environment_type=EXTERNAL", f"--environment_config={HOST}:{port}")
    return replace(cluster, flags=(*cluster.flags, installation.launcher, *workers))


def _message_of(engine: Engine, cluster: Cluster) -> str:
    variables = "".join(f"{n}={shlex.quote(v)} " for n, v in cluster.environment.items())
    flags = " \\\n      ".join(map(shlex.quote, cluster.flags))
    return (
        f"The {engine.name} cluster goes on running: {cluster.web}\n"
        f"  {variables}.venv/bin/transfuse migrate SPEC \\\n      {flags}\n"
        "  ./run_cluster.sh --stop                  # stops it"
    )


def stop_all() -> None:
    """Stop the clusters of this checkout, even if others started them, and print which."""
    for engine in ENGINES.values():
        if Processes(STATE / engine.name).stop():
            print(f"The {engine.name} cluster is stopped.")
        else:
            print(f"No {engine.name} cluster is running.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raises TransfuseError (USER-003) while another process has a cluster in ``folder`` start and
    end; the system takes the lock back with the process that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransfuseError(
                Problem(
                    ErrorCode.USER_003,
                    f"another process runs a {folder.name} cluster of this checkout",
                    str(folder),
                    "wait for it, or end it",
                )
            ) from None
        yield


if __name__ == "__main__":
    hide_arguments()
    keep_files_private()
    os.chdir(HERE.parent)
    sys.exit(main())
