"""The manifests fit the schemas of Kubernetes and of Flink's operator, and each other."""

from __future__ import annotations

import copy
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from clusters import flink, spark
from clusters.__main__ import HERE, JARS
from clusters.jars import read_lock
from pipelines.engines import pool_token
from schemas.errors import ExitStatus
from schemas.specification.root import Connections
from tests.support.project import PROJECT

FOLDER = PROJECT / "deploy" / "kubernetes"
ENGINES = ("flink", "spark")

KUBERNETES = ("1.29", "1.37")
"""From the first in which init containers may go on running."""


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield f"{path.name} {document['kind']} {document['metadata']['name']}", document


ALL = dict(documents())
OF_OPERATOR = {name: found for name, found in ALL.items() if "flink" in found["apiVersion"]}
OF_KUBERNETES = {name: found for name, found in ALL.items() if name not in OF_OPERATOR}


def only(kind: str, file: str = "") -> dict[str, Any]:
    (found,) = [d for name, d in ALL.items() if d["kind"] == kind and name.startswith(file)]
    return found


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", OF_KUBERNETES)
def test_a_manifest_fits_the_schema_of_kubernetes(name: str, version: str) -> None:
    kubernetes_validate.validate(OF_KUBERNETES[name], version, strict=True)


@pytest.mark.parametrize("name", OF_KUBERNETES)
def test_a_field_that_kubernetes_does_not_know_is_refused(name: str) -> None:
    wrong = copy.deepcopy(OF_KUBERNETES[name])
    pod = wrong["spec"].get("template", wrong)["spec"]
    pod["restartPolcy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolcy"):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


@pytest.fixture(scope="module")
def operator() -> jsonschema.Draft202012Validator:
    """Knows the schema of a FlinkDeployment; what that doesn't name is refused."""
    (jar,) = read_lock(HERE / "operator.lock")
    if not (JARS / jar.name).exists():
        pytest.skip("'python -m clusters fetch operator' hasn't downloaded the operator's schemas")
    with zipfile.ZipFile(JARS / jar.name) as archive:
        text = archive.read("META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml")
    # It has half a megabyte.
    (version,) = yaml.load(text, yaml.CSafeLoader)["spec"]["versions"]
    assert version["name"] == "v1beta1"
    schema: dict[str, Any] = closed(version["schema"]["openAPIV3Schema"])
    # Kubernetes itself knows these of every object.
    schema["properties"] |= {
        "apiVersion": {"const": "flink.apache.org/v1beta1"},
        "kind": {"const": "FlinkDeployment"},
        "metadata": {"type": "object"},
    }
    return jsonschema.Draft202012Validator(schema)


def closed(schema: Any) -> Any:
    """The schema, with which an object has no other properties than those that are named."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result.setdefault("additionalProperties", bool(open_ended))
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    return result


@pytest.mark.parametrize("name", OF_OPERATOR)
def test_a_manifest_fits_the_schema_of_the_operator(
    operator: jsonschema.Draft202012Validator, name: str
) -> None:
    operator.validate(OF_OPERATOR[name])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "flinkVersoin"), "v1_19"),
        (("spec", "flinkVersion"), "v9_9"),
        (("spec", "taskManager", "resource", "memry"), "1024m"),
        (("spec", "taskManager", "podTemplate", "spec", "initContainers", 0, "restartPolcy"), "x"),
        (("spec", "flinkConfiguration", "web.submit.enable"), False),
    ],
    ids=lambda part: str(part[-1]) if isinstance(part, tuple) else "",
)
def test_what_the_operator_does_not_know_is_refused(
    operator: jsonschema.Draft202012Validator, place: tuple[Any, ...], value: object
) -> None:
    wrong = copy.deepcopy(only("FlinkDeployment"))
    inner: Any = wrong
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        operator.validate(wrong)


def test_a_task_manager_has_the_memory_that_was_tried() -> None:
    spec = only("FlinkDeployment")["spec"]
    told = {
        name.removeprefix("taskmanager.memory."): int(size.removesuffix("m"))
        for name, size in spec["flinkConfiguration"].items()
        if name.startswith("taskmanager.memory.")
    }
    assert told == {
        "framework.heap.size": flink.FRAMEWORK_HEAP,
        "task.heap.size": flink.TASK_HEAP,
        "framework.off-heap.size": flink.FRAMEWORK_DIRECT,
        "task.off-heap.size": flink.TASK_DIRECT,
        "network.min": flink.NETWORK,
        "network.max": flink.NETWORK,
        "managed.size": flink.MANAGED,
        "jvm-metaspace.size": flink.METASPACE,
        "jvm-overhead.min": flink.OVERHEAD,
        "jvm-overhead.max": flink.OVERHEAD,
    }
    # What is there twice, as least and most, counts once.
    together = sum(told.values()) - told["network.min"] - told["jvm-overhead.min"]
    assert spec["taskManager"]["resource"]["memory"] == f"{together}m"


def pods() -> dict[str, dict[str, Any]]:
    """The pods of all manifests, by where they stand."""
    found = {}
    for name, document in ALL.items():
        spec = document["spec"]
        if document["kind"] == "FlinkDeployment":
            found[name] = spec["taskManager"]["podTemplate"]["spec"]
        elif "template" in spec:
            found[name] = spec["template"]["spec"]
    return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_what_a_container_mounts_is_a_volume_of_its_pod() -> None:
    for name, pod in pods().items():
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in containers(pod):
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= volumes, f"{name} {container['name']}"


def test_containers_with_passwords_find_them_where_libpq_is_told_to_look() -> None:
    seen = 0
    for name, pod in pods().items():
        for container in containers(pod):
            variables = {v["name"]: v.get("value", "") for v in container.get("env", [])}
            # No URL holds a password, since it goes to the engine with the steps.
            assert not [value for value in variables.values() if re.search(r":[^/@]+@", value)]
            if "PGSERVICEFILE" in variables:
                seen += 1
                (mount,) = [m for m in container["volumeMounts"] if m["name"] == "databases"]
                assert Path(variables["PGSERVICEFILE"]).parent == Path(mount["mountPath"]), name
    # Launchers and pools.
    assert seen == 4


@pytest.mark.parametrize("engine", ENGINES)
def test_launcher_and_pool_agree(engine: str) -> None:
    command = only("Job", f"{engine}-migrate")["spec"]["template"]["spec"]["containers"][0]
    flags = dict(flag.split("=", 1) for flag in command["command"] if flag.startswith("--"))
    jar = f"{engine}-job-server.jar"
    jars = "/opt/transfuse/.transfuse/jars"
    assert flags[f"--{engine}_job_server_jar"] == f"{jars}/{jar}"
    assert flags["--environment_type"] == "EXTERNAL"
    pools = [
        container
        for name, pod in pods().items()
        if name.startswith(f"{engine}.yaml")
        for container in pod.get("initContainers", [])
    ]
    (pool,) = pools
    assert flags["--environment_config"] == f"127.0.0.1:{pool['command'][-1]}"
    assert pool["command"][1:3] == ["-m", "pipelines.engines.worker_pool"]
    assert pool["image"] == command["image"]
    tokens = [
        [
            variable["valueFrom"]["secretKeyRef"]
            for variable in container["env"]
            if variable["name"] == pool_token.VARIABLE
        ]
        for container in (pool, command)
    ]
    assert tokens == [[{"name": "transfuse-pool", "key": "token"}]] * 2
    if engine == "flink":
        service = f"{only('FlinkDeployment')['metadata']['name']}-rest:8081"
        assert flags["--flink_master"] == service
    else:
        master = only("Service", "spark")
        port = master["spec"]["ports"][0]["port"]
        assert flags["--spark_master_url"] == f"spark://{master['metadata']['name']}:{port}"


def test_as_many_workers_are_asked_for_as_the_connection_limits_allow() -> None:
    default = Connections()
    most = min(default.source, default.target)
    command = only("Job", "flink-migrate")["spec"]["template"]["spec"]["containers"][0]["command"]
    # Without it a job has as many slots as an earlier one has left.
    assert f"--parallelism={most}" in command
    assert ALL["spark.yaml Deployment transfuse-spark-worker"]["spec"]["replicas"] == most


@pytest.mark.parametrize("engine", ENGINES)
def test_only_what_can_be_continued_is_tried_again(engine: str) -> None:
    rules = only("Job", f"{engine}-migrate")["spec"]["podFailurePolicy"]["rules"]
    (ends,) = [rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule]
    # 6 is what 'plan' says.
    goes_on = {ExitStatus.COMPLETE, ExitStatus.INCOMPLETE, ExitStatus.BLOCKED}
    assert set(ends) == set(ExitStatus) - goes_on


def test_java_sees_into_the_packages_that_spark_names() -> None:
    wanted = [f"--add-opens={package}=ALL-UNNAMED" for package in spark.OPENS]
    for kind in ("master", "worker"):
        pod = pods()[f"spark.yaml Deployment transfuse-spark-{kind}"]
        variables = {v["name"]: v.get("value", "") for v in pod["containers"][0]["env"]}
        assert variables["JDK_JAVA_OPTIONS"].split() == wanted


def test_the_image_is_made_of_what_is_there() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    for sources in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (PROJECT / source).exists(), source
    packages = set(re.findall(r"^COPY (\w+) ", text, re.MULTILINE))
    assert packages == {"schemas", "transforms", "pipelines", "clusters"}
    # The numbers under which the pods run.
    (user,) = re.findall(r"^USER (\d+)$", text, re.MULTILINE)
    for document in ALL.values():
        for number in re.findall(r"'run\w+': (\d+)", str(document)):
            assert number == user
