"""A standalone Flink cluster: a JobManager and TaskManagers, without Flink's shell scripts.

Those scripts work out the sizes of a TaskManager's memory, so they are set here.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from clusters.cluster_engine import HOST, WORKERS, Cluster, Engine, Installation, open_flags
from clusters.processes import Processes, free_ports
from pipelines.engines.engine_web import answer_of

OPENS = (
    "java.base/java.lang",
    "java.base/java.net",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.lang.reflect",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
)
"""Those that Flink 1.19 names in ``env.java.opts.all`` of its own configuration."""

JOB_MANAGER_HEAP = 512
"""MB."""

FRAMEWORK_HEAP, TASK_HEAP = 128, 256
FRAMEWORK_DIRECT, TASK_DIRECT = 128, 32
NETWORK, MANAGED = 160, 128
METASPACE, OVERHEAD = 128, 64
"""MB of a TaskManager, 1024 together. The buffers between steps (network) are a fifth of what
remains beside Flink's own: less is too few for as many steps as a level has."""


def start(processes: Processes, installation: Installation) -> Cluster:
    """Starts the processes, and waits until all slots are free."""
    rpc, rest, blobs = free_ports(3)
    web = f"http://{HOST}:{rest}"
    _configure(processes, rpc, rest, blobs)
    processes.start(
        "JobManager",
        _command(
            installation,
            [f"-Xmx{JOB_MANAGER_HEAP}m"],
            "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            processes.folder,
        ),
    )
    sizes = [
        f"-Xmx{FRAMEWORK_HEAP + TASK_HEAP}m",
        f"-XX:MaxDirectMemorySize={FRAMEWORK_DIRECT + TASK_DIRECT + NETWORK}m",
        f"-XX:MaxMetaspaceSize={METASPACE}m",
    ]
    for number in range(1, WORKERS + 1):
        processes.start(
            f"TaskManager {number}",
            _command(
                installation,
                sizes,
                "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
                processes.folder,
            ),
        )
    processes.wait_until(
        lambda: answer_of(f"{web}/overview").get("slots-available") == WORKERS,
        "Flink's slots are free",
    )
    return Cluster(
        web,
        (
            "--runner=FlinkRunner",
            f"--flink_master={HOST}:{rest}",
            f"--flink_job_server_jar={installation.job_server}",
        ),
    )


def _configure(processes: Processes, rpc: int, rest: int, blobs: int) -> None:
    settings = {
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": rpc,
        "jobmanager.bind-host": HOST,
        "blob.server.port": blobs,
        "rest.address": HOST,
        "rest.bind-address": HOST,
        "rest.port": rest,
        "rest.bind-port": rest,
        # The web page shows jobs and cancels them, and accepts no programs.
        "web.submit.enable": False,
        "io.tmp.dirs": str(processes.files),
        # Milliseconds after which a process counts as killed, and as not answering.
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 20000,
        "taskmanager.host": HOST,
        "taskmanager.bind-host": HOST,
        "taskmanager.numberOfTaskSlots": 1,
        "taskmanager.cpu.cores": 1,
        "taskmanager.memory.framework.heap.size": f"{FRAMEWORK_HEAP}m",
        "taskmanager.memory.task.heap.size": f"{TASK_HEAP}m",
        "taskmanager.memory.framework.off-heap.size": f"{FRAMEWORK_DIRECT}m",
        "taskmanager.memory.task.off-heap.size": f"{TASK_DIRECT}m",
        "taskmanager.memory.network.min": f"{NETWORK}m",
        "taskmanager.memory.network.max": f"{NETWORK}m",
        "taskmanager.memory.managed.size": f"{MANAGED}m",
        "taskmanager.memory.jvm-metaspace.size": f"{METASPACE}m",
        "taskmanager.memory.jvm-overhead.min": f"{OVERHEAD}m",
        "taskmanager.memory.jvm-overhead.max": f"{OVERHEAD}m",
        # All jars are on the class path of each process, and a job brings the same ones.
        "classloader.resolve-order": "parent-first",
    }
    processes.folder.mkdir(parents=True, exist_ok=True)
    (processes.folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def _command(installation: Installation, sizes: list[str], entry: str, folder: Path) -> list[str]:
    return [
        str(installation.java),
        *sizes,
        *open_flags(OPENS),
        *("--add-exports=java.base/sun.net.util=ALL-UNNAMED",),
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        *("-cp", str(installation.job_server)),
        *(entry, "--configDir", str(folder)),
    ]


FLINK = Engine(
    name="flink",
    java=range(11, 22),
    driver="org.apache.beam.runners.flink.FlinkJobServerDriver",
    opens=OPENS,
    start=start,
)
