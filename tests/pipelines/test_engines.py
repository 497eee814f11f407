"""What is seen to before a run on Flink or Spark begins; the engines themselves: tests/clusters."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from apache_beam.portability.api import beam_job_api_pb2

from pipelines.migrate import migrate
from pipelines.runner import refuse_unknown
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.reading import read_specification
from tests.faults.runs import start
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.pipelines.two_databases import TwoDatabases
from tests.waiting import is_alive, wait_until


@pytest.fixture
def listening() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def jar(tmp_path: Path) -> str:
    path = tmp_path / "server.jar"
    path.write_bytes(b"")
    return f"--flink_job_server_jar={path}"


def refused(
    databases: TwoDatabases, flags: Sequence[str], status: ExitStatus = ExitStatus.REFUSED
) -> Problem:
    """The only problem of a run that must not begin."""
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    with pytest.raises(TransfuseError) as raised:
        migrate(read_specification(path, databases.variables), path, flags)
    assert raised.value.status is status
    assert databases.target.values("SELECT to_regclass('migration.migration_jobs')") == [None]
    (problem,) = raised.value.problems
    assert problem.remedy
    return problem


def test_a_jar_that_is_not_there(databases):
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", "--flink_job_server_jar=./none.jar"]
    problem = refused(databases, flags)
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "./none.jar")


def test_a_machine_without_java(databases, jar):
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar]
    problem = refused(databases, [*flags, "--job_server_java_launcher=/no/java"])
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "/no/java")


def test_a_job_server_that_ends_at_once(databases, jar):
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar]
    flags.append("--job_server_java_launcher=false")
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert problem.code is ErrorCode.SYS_005
    assert "ended with status 1" in problem.message


@pytest.mark.parametrize(
    "flags",
    [
        ["--runner=FlinkRunner", "--flink_master=127.0.0.1:1"],
        ["--runner=SparkRunner", "--spark_master_url=spark://127.0.0.1:1"],
    ],
)
def test_a_master_that_does_not_answer(databases, flags):
    problem = refused(databases, flags, ExitStatus.INCOMPLETE)
    assert (problem.code, problem.where) == (ErrorCode.CONN_004, "127.0.0.1:1")


def test_a_job_server_that_does_not_answer(databases, listening, monkeypatch):
    monkeypatch.setattr("pipelines.job_server.ANSWERS_WITHIN", 0.2)
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
def test_more_workers_than_the_connection_limits_allow(databases, flags):
    problem = refused(databases, flags)
    assert problem.code is ErrorCode.USER_001
    assert "1 to 4 workers" in problem.message


@pytest.mark.parametrize("cores", ["5", "0", "all"])
def test_more_cores_of_a_spark_cluster_than_the_connection_limits_allow(
    databases, listening, cores
):
    flags = ["--runner=SparkRunner", f"--spark_master_url=spark://{listening}"]
    flags.append(f"--job_server_jvm_properties=-Dspark.cores.max={cores}")
    problem = refused(databases, flags)
    assert problem.code is ErrorCode.USER_001
    assert "1 to 4 workers" in problem.message


def test_a_spark_cluster_whose_workers_nothing_would_bound(databases, listening):
    flags = ["--runner=SparkRunner", f"--spark_master_url=spark://{listening}"]
    problem = refused(databases, [*flags, "--spark_submit_uber_jar"])
    assert (problem.code, problem.where) == (ErrorCode.USER_001, "--spark_submit_uber_jar")


def test_a_flag_of_beam_that_is_no_number(databases, jar):
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar, "--parallelism=many"]
    assert refused(databases, flags).code is ErrorCode.USER_001


@pytest.mark.parametrize("value", ["soon", "1.5"])
def test_a_flag_of_the_engine_that_is_no_number(value):
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


def test_an_environment_that_nobody_can_make(databases, jar):
    flags = ["--runner=FlinkRunner", "--flink_master=[local]", jar, "--environment_type=CLOUDS"]
    assert refused(databases, flags).code is ErrorCode.USER_001


def test_a_job_server_ends_with_a_launcher_that_is_killed(databases, jar, tmp_path, monkeypatch):
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
