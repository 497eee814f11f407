"""A run on one machine serves no port: what would is refused before anything begins."""

from __future__ import annotations

import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import HEADER, TwoDatabases

LOAD = "tables: {people: {from: people, key: [id], copy: [id]}}\n"

IN_PROCESS = "--direct_running_mode=in_memory"

SERVING_FLAGS = (
    ("--direct_running_mode=multi_threading",),
    ("--direct_running_mode", "multi_processing"),
    ("--runner=FnApiRunner", "--direct_running_mode=multi_processing"),
    ("--runner=PrismRunner",),
    ("--runner=apache_beam.runners.portability.prism_runner.PrismRunner",),
    ("--runner=BundleBasedDirectRunner",),
    ("--runner=TestDirectRunner",),
    ("--runner=PortableRunner", "--job_endpoint=embed"),
)


def test_what_would_serve_ports_is_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run("CREATE TABLE people (id int PRIMARY KEY)")
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY)")
    path = databases.write(LOAD, HEADER)
    variables = [f"--var={name}={url}" for name, url in databases.variables.items()]
    command = ["migrate", str(path), *variables]
    for flags in SERVING_FLAGS:
        assert main([*command, *flags]) == 2, flags
        told = capsys.readouterr().err
        assert told.startswith("USER-001"), flags
        assert "->" in told, flags
        remedy = told.rpartition("->")[2]
        assert IN_PROCESS in remedy or "--runner=FlinkRunner" in remedy, flags
        assert databases.target.values("SELECT to_regclass('migration.migration_jobs')") == [None]
    # What the message offers works, and Beam doesn't advise against it.
    assert main([*command, IN_PROCESS, "--direct_num_workers=3"]) == 0
    assert "direct_running_mode" not in capsys.readouterr().err
