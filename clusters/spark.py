"""A standalone Spark cluster: a master and workers, without Spark's shell scripts."""

from __future__ import annotations

import os
from pathlib import Path

from clusters.cluster_engine import HOST, WORKERS, Cluster, Engine, Installation, open_flags
from clusters.processes import Processes, free_ports
from pipelines.engines.engine_web import answer_of

OPENS = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
)
"""The packages that Spark 3.5 names in ``org.apache.spark.launcher.JavaModuleOptions``."""

LOCAL = {"SPARK_LOCAL_IP": HOST, "SPARK_LOCAL_HOSTNAME": HOST}
"""The address on which all processes of Spark listen, the job server included."""

HEAP = 512
"""MB of the master, and of each worker, which only starts the executors."""

EXECUTOR = 1024
"""MB of an executor's heap: one with one core on each worker."""


def start(processes: Processes, installation: Installation) -> Cluster:
    """Start a master and the workers, and wait until all of them have reported to it.

    Args:
        processes: Those of the cluster.
        installation: The files of Spark.

    Returns:
        The running cluster.

    Raises:
        TransfuseError: SYS-005 where a process ends or takes too long.
    """
    port, web, *others = free_ports(2 + 2 * WORKERS)
    environment = _environment(processes, installation)
    address, master = f"http://{HOST}:{web}", f"spark://{HOST}:{port}"
    state = f"{address}/json/"
    processes.start("master", _master_command(installation, port, web), environment)
    processes.wait_until(lambda: bool(answer_of(state)), "Spark's master answers")
    for number in range(1, WORKERS + 1):
        own, page = others[2 * number - 2 : 2 * number]
        command = _worker_command(installation, own, page, master)
        processes.start(f"worker {number}", command, environment)
    processes.wait_until(
        lambda: answer_of(state).get("aliveworkers") == WORKERS, "Spark's workers have reported"
    )
    return Cluster(
        address,
        (
            "--runner=SparkRunner",
            f"--spark_master_url={master}",
            f"--spark_job_server_jar={installation.job_server}",
            # The workers have all jars already; each job would bring its own copies of them.
            f"--files_to_stage={installation.job_server}",
        ),
        LOCAL,
    )


def _environment(processes: Processes, installation: Installation) -> dict[str, str]:
    return {
        "SPARK_HOME": str(_lay_out(processes.folder, installation)),
        # Otherwise the workers look for it in folders that only a build of Spark has.
        "SPARK_SCALA_VERSION": "2.12",
        **LOCAL,
        "SPARK_LOCAL_DIRS": str(processes.files),
        "SPARK_WORKER_DIR": str(processes.files / "work"),
    }


def _lay_out(folder: Path, installation: Installation) -> Path:
    """Create the folder that Spark's workers expect, with the jars of executors in ``jars``."""
    jars = folder / "home" / "jars"
    jars.mkdir(parents=True, exist_ok=True)
    for link in jars.iterdir():
        link.unlink()
    for name in installation.names:
        os.symlink(installation.jars / name, jars / name)
    return jars.parent


def _master_command(installation: Installation, port: int, web: int) -> list[str]:
    return _command(
        installation,
        "org.apache.spark.deploy.master.Master",
        *("--host", HOST, "--port", str(port), "--webui-port", str(web)),
    )


def _worker_command(installation: Installation, port: int, web: int, master: str) -> list[str]:
    return _command(
        installation,
        "org.apache.spark.deploy.worker.Worker",
        *("--host", HOST, "--port", str(port), "--webui-port", str(web)),
        *("--cores", "1", "--memory", f"{EXECUTOR}m"),
        master,
    )


def _command(installation: Installation, entry: str, *arguments: str) -> list[str]:
    return [
        str(installation.java),
        f"-Xmx{HEAP}m",
        *open_flags(OPENS),
        *("-cp", str(installation.job_server)),
        *(entry, *arguments),
    ]


SPARK = Engine(
    name="spark",
    java=range(11, 18),
    driver="org.apache.beam.runners.spark.SparkJobServerDriver",
    opens=OPENS,
    start=start,
)
