"""What is seen to before a run on Flink or Spark begins; the engines themselves: tests/clusters."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

from pipelines import migrate, read_specification
from pipelines.engines.beam_flags import refuse_unknown
from pipelines.run.outcome import RunOutcome
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.runs.child_runs import start
from tests.support.waiting import is_alive, wait_until


@pytest.fixture
def listening() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def chatty() -> Iterator[str]:
    """An address whose service greets everybody, and not as HTTP does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as connection, suppress(OSError):
                        connection.sendall(b"SSH-2.0-chatty\r\n")
                        connection.shutdown(socket.SHUT_WR)
                        connection.recv(10_000)

        greeting = threading.Thread(target=greet, daemon=True)
        greeting.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        greeting.join()


class RefusingJobServer(beam_job_api_pb2_grpc.JobServiceServicer):
    """A job server that takes no job; ``options`` are those of the last one that it was given."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.options: dict[str, Any] = {}
        self._code = code

    def DescribePipelineOptions(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return beam_job_api_pb2.DescribePipelineOptionsResponse()

    def Prepare(self, request: Any, context: Any) -> Any:
        self.options = dict(request.pipeline_options)
        context.abort(self._code, "Ruth Roe is no integer")


@contextmanager
def serving(job_server: RefusingJobServer) -> Iterator[str]:
    """The flag that names the job server while it can be reached."""
    server = grpc.server(shared_unbounded_instance())
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(job_server, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"--job_endpoint=127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


NO_JAVA = "--job_server_java_launcher=/no/java"
"""With this flag a run that isn't refused before ends where its job server is to start."""

EXTERNAL = ("--environment_type=EXTERNAL", "--environment_config=127.0.0.1:50000")


@pytest.fixture
def jar(tmp_path: Path) -> str:
    path = tmp_path / "server.jar"
    zipfile.ZipFile(path, "w").close()
    return f"--flink_job_server_jar={path}"


def submitted(databases: TwoDatabases, flags: Sequence[str]) -> RunOutcome:
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    return migrate(read_specification(path, databases.variables), flags)


def refused(
    databases: TwoDatabases, flags: Sequence[str], status: ExitStatus = ExitStatus.REFUSED
) -> Problem:
    """The only problem of a run that must not begin."""
    with pytest.raises(TransfuseError) as raised:
        submitted(databases, flags)
    assert raised.value.status is status
    assert databases.target.values("SELECT to_regclass('migration.migration_jobs')") == [None]
    (problem,) = raised.value.problems
    assert problem.remedy
    return problem


def test_a_jar_that_is_not_there(databases: TwoDatabases) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", "--flink_job_server_jar=./none.jar"]
    problem = refused(databases, flags)
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "./none.jar")


def test_a_jar_that_is_none(databases: TwoDatabases, tmp_path: Path) -> None:
    path = tmp_path / "server.jar"
    path.write_text("<html>")
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", f"--flink_job_server_jar={path}"]
    problem = refused(databases, flags)
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, str(path))


def test_a_machine_without_java(databases: TwoDatabases, jar: str) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar]
    problem = refused(databases, [*flags, "--job_server_java_launcher=/no/java"])
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "/no/java")


def test_a_job_server_that_ends_at_once(databases: TwoDatabases, jar: str) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar]
    flags.append("--job_server_java_launcher=false")
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert problem.code is ErrorCode.SYS_005
    assert "ended with status 1" in problem.message
    assert problem.where.endswith("server.jar")


def test_a_job_server_that_is_something_else(
    databases: TwoDatabases, jar: str, tmp_path: Path
) -> None:
    java = tmp_path / "java"
    java.write_text(
        f"#!{sys.executable}\nimport concurrent.futures, sys\nimport grpc\n"
        "server = grpc.server(concurrent.futures.ThreadPoolExecutor())\n"
        "server.add_insecure_port('localhost:' + sys.argv[sys.argv.index('--job-port') + 1])\n"
        "server.start()\nserver.wait_for_termination()\n"
    )
    java.chmod(0o755)
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar]
    flags.append(f"--job_server_java_launcher={java}")
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert problem.code is ErrorCode.SYS_005
    # Nobody has named one.
    assert "--job_endpoint" not in problem.remedy


@pytest.mark.parametrize(
    "flags",
    [
        ["--runner=FlinkRunner", "--flink_master=127.0.0.1:1"],
        ["--runner=SparkRunner", "--spark_master_url=spark://127.0.0.1:1"],
    ],
)
def test_a_master_that_does_not_answer(databases: TwoDatabases, flags: list[str]) -> None:
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert (problem.code, problem.where) == (ErrorCode.CONN_004, "127.0.0.1:1")


def test_a_master_that_is_another_service_is_warned_of(
    databases: TwoDatabases, jar: str, chatty: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Beam's job server may know how to talk to it, as with a password, where this can't."""
    flags = ["--runner=FlinkRunner", f"--flink_master={chatty}", jar, NO_JAVA]
    assert refused(databases, flags).where == "/no/java"
    assert f"{chatty} doesn't answer as Flink's REST interface does" in caplog.text


@pytest.mark.parametrize(
    "flags",
    [
        ["--runner=FlinkRunner", "--flink_master=host..domain:8081"],
        ["--runner=FlinkRunner", "--flink_master=host:port"],
        ["--runner=SparkRunner", f"--spark_master_url=spark://{'h' * 64}:7077"],
        ["--runner=SparkRunner", "--spark_master_url=spark://,"],
    ],
)
def test_a_master_whose_address_is_none(databases: TwoDatabases, flags: list[str]) -> None:
    problem = refused(databases, flags)
    assert problem.code is ErrorCode.USER_001
    assert "is not an address" in problem.message


@pytest.mark.parametrize("master", ["127.0.0.1:7077", "sparks://127.0.0.1:7077", ""])
def test_a_master_that_is_none_of_spark(databases: TwoDatabases, master: str) -> None:
    problem = refused(databases, ["--runner=SparkRunner", f"--spark_master_url={master}"])
    assert (problem.code, problem.where) == (ErrorCode.USER_001, "--spark_master_url")


def test_a_master_that_stands_by_while_another_leads(
    databases: TwoDatabases, listening: str
) -> None:
    flags = ["--runner=SparkRunner", f"--spark_master_url=spark://127.0.0.1:1,{listening}"]
    problem = refused(databases, [*flags, *EXTERNAL, NO_JAVA])
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "/no/java")


def test_masters_none_of_which_answers(databases: TwoDatabases) -> None:
    flags = ["--runner=SparkRunner", "--spark_master_url=spark://127.0.0.1:1,127.0.0.1:2"]
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert (problem.code, problem.where) == (ErrorCode.CONN_004, "127.0.0.1:1, 127.0.0.1:2")


def test_a_job_server_that_does_not_answer(
    databases: TwoDatabases, listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.engines.job_server.ANSWERS_WITHIN", 0.2)
    flags = ["--runner=PortableRunner", f"--job_endpoint={listening}"]
    flags += ["--environment_type=LOOPBACK"]
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert (problem.code, problem.where) == (ErrorCode.CONN_004, listening)


@pytest.mark.parametrize(
    "flags",
    [
        ["--runner=FlinkRunner", "--flink_master=[local]", "--parallelism=5"],
        ["--runner=FlinkRunner", "--flink_master=[local]", "--parallelism=0"],
        ["--runner=SparkRunner", "--spark_master_url=local[5]"],
    ],
)
def test_more_workers_than_the_connection_limits_allow(
    databases: TwoDatabases, flags: list[str]
) -> None:
    problem = refused(databases, flags)
    assert problem.code is ErrorCode.USER_001
    assert "1 to 4 workers" in problem.message


def test_a_number_of_workers_that_spark_does_not_know(databases: TwoDatabases) -> None:
    flags = ["--runner=SparkRunner", "--spark_master_url=local[2]", "--parallelism=2"]
    problem = refused(databases, flags)
    assert (problem.code, problem.where) == (ErrorCode.USER_001, "--parallelism=2")
    assert "-Dspark.cores.max=N" in problem.remedy


@pytest.mark.parametrize("cores", ["5", "0", "all"])
def test_more_cores_of_a_spark_cluster_than_the_connection_limits_allow(
    databases: TwoDatabases, listening: str, cores: str
) -> None:
    flags = ["--runner=SparkRunner", f"--spark_master_url=spark://{listening}"]
    flags.append(f"--job_server_jvm_properties=-Dspark.cores.max={cores}")
    problem = refused(databases, flags)
    assert problem.code is ErrorCode.USER_001
    assert "1 to 4 workers" in problem.message


def test_the_processors_of_this_machine_are_not_those_of_a_job_server(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    server = RefusingJobServer(grpc.StatusCode.INTERNAL)
    with serving(server) as named:
        flags = ["--runner=FlinkRunner", "--flink_master=[local]", named, *EXTERNAL]
        assert submitted(databases, flags).status is ExitStatus.INCOMPLETE
    assert server.options["beam:option:parallelism:v1"] == "4"


@pytest.mark.parametrize("master", [[], ["--flink_master=[auto]"]])
def test_a_job_server_whose_flink_nobody_names(
    databases: TwoDatabases, listening: str, master: list[str]
) -> None:
    flags = ["--runner=FlinkRunner", f"--job_endpoint={listening}", *master]
    problem = refused(databases, flags)
    assert (problem.code, problem.where) == (ErrorCode.USER_001, "--job_endpoint")


def test_a_runner_without_a_job_server(databases: TwoDatabases) -> None:
    problem = refused(databases, ["--runner=PortableRunner", *EXTERNAL])
    assert problem.code is ErrorCode.USER_001
    assert "--job_endpoint" in problem.remedy


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, ErrorCode.SYS_004),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ErrorCode.SYS_004),
        (grpc.StatusCode.UNAVAILABLE, ErrorCode.CONN_004),
    ],
)
def test_a_job_server_that_takes_no_job(
    databases: TwoDatabases, code: grpc.StatusCode, expected: ErrorCode
) -> None:
    with serving(RefusingJobServer(code)) as named:
        outcome = submitted(databases, ["--runner=PortableRunner", named, *EXTERNAL])
    (problem,) = outcome.problems
    assert (outcome.status, problem.code) == (ExitStatus.INCOMPLETE, expected)
    assert (code.name in problem.message) is (expected is not ErrorCode.CONN_004)
    # What the server says may hold a value.
    assert "Roe" not in str(problem)


@pytest.mark.parametrize(
    ("engine", "flag"),
    [
        (["--runner=FlinkRunner", "--flink_master=[local]"], "--flink_submit_uber_jar"),
        (["--runner=FlinkRunner", "--flink_master=127.0.0.1:1"], "--flink_submit_uber_jar"),
        (["--runner=SparkRunner", "--spark_master_url=local[2]"], "--spark_submit_uber_jar"),
        (["--runner=SparkRunner", "--spark_master_url=spark://h:1"], "--spark_submit_uber_jar"),
    ],
)
def test_a_run_that_would_go_round_the_job_server(
    databases: TwoDatabases, engine: list[str], flag: str
) -> None:
    problem = refused(databases, [*engine, NO_JAVA, flag])
    assert (problem.code, problem.where) == (ErrorCode.USER_001, flag)


def test_a_flag_of_beam_that_is_no_number(databases: TwoDatabases, jar: str) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar, "--parallelism=many"]
    assert refused(databases, flags).code is ErrorCode.USER_001


@pytest.mark.parametrize("value", ["soon", "1.5"])
def test_a_flag_of_the_engine_that_is_no_number(value: str) -> None:
    types = beam_job_api_pb2.PipelineOptionType
    described = [
        beam_job_api_pb2.PipelineOptionDescriptor(name=name, type=types.INTEGER)
        for name in ("environment_cache_millis", "checkpointing_interval")
    ]
    for option in described:
        refuse_unknown([f"--{option.name}=7"], described)
        with pytest.raises(TransfuseError) as raised:
            refuse_unknown([f"--{option.name}={value}"], described)
        assert raised.value.problems[0].code is ErrorCode.USER_001


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("CLOUDS", None),
        ("EXTERNAL", "nonsense"),
        ("EXTERNAL", "127.0.0.1:65536"),
        ("EXTERNAL", '{"url": 5}'),
        ("EXTERNAL", '{"url": "127.0.0.1:50000", "params": 5}'),
        ("PROCESS", "nonsense"),
        ("PROCESS", "{}"),
        ("PROCESS", "[1]"),
        ("PROCESS", '{"command": 5}'),
        ("PROCESS", '{"command": " "}'),
        ("PROCESS", '{"command": "worker.sh", "env": {"PORT": 5432}}'),
    ],
)
def test_an_environment_that_nobody_can_make(
    databases: TwoDatabases, jar: str, kind: str, config: str | None
) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar, NO_JAVA]
    flags.append(f"--environment_type={kind}")
    if config is not None:
        flags.append(f"--environment_config={config}")
    problem = refused(databases, flags)
    assert problem.code is ErrorCode.USER_001
    assert "--environment" in problem.where


@pytest.mark.parametrize("kind", ["EXTERNAL", "PROCESS"])
def test_an_environment_of_which_nothing_is_said(
    databases: TwoDatabases, jar: str, kind: str
) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar, NO_JAVA]
    problem = refused(databases, [*flags, f"--environment_type={kind}"])
    assert (problem.code, problem.where) == (ErrorCode.USER_001, "--runner=FlinkRunner")
    assert problem.message.endswith(f"is required for environment type {kind}.")


@pytest.mark.slow
def test_a_job_server_ends_with_a_launcher_that_is_killed(
    databases: TwoDatabases, jar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(databases)
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setenv("TMPDIR", str(folders))
    java, told = tmp_path / "java", tmp_path / "pid"
    java.write_text(f"#!/bin/sh\necho $$ >{told}.new; mv {told}.new {told}\nexec sleep 600\n")
    java.chmod(0o755)
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar]
    path = databases.write(SPECIFICATION, SMALL)
    process = start(databases, path, [*flags, f"--job_server_java_launcher={java}"])
    try:
        wait_until(told.exists)
        server = psutil.Process(int(told.read_text()))
        # A terminal sends Ctrl-C to the launcher's group, of which the server mustn't be.
        assert os.getpgid(server.pid) != os.getpgid(process.pid)
        assert list(folders.glob("transfuse-*"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not is_alive(server))
        wait_until(lambda: not list(folders.glob("transfuse-*")))
    finally:
        process.kill()
        process.wait()
