"""What the documents say is so: the README's specification runs, its tables are the code's."""

from __future__ import annotations

import re
from decimal import Decimal

import psycopg
import pytest
from pydantic import BaseModel

from pipelines import migrate, read_specification
from pipelines.cli.main import main
from schemas.code_maps.policy import GemPolicy
from schemas.errors import ErrorCode, ExitStatus
from schemas.ready_rules import READY_RULES
from schemas.specification.maps import GEM_ATTRIBUTES
from schemas.specification.root import Specification
from schemas.specification.table import Field, Load
from schemas.sql.transformations import TRANSFORMATIONS
from tests.support.jobs.readme_hospital import README, ReadmeHospital, hospital, readme_block
from tests.support.project import PROJECT

__all__ = ["hospital"]


def test_the_specification_of_the_readme_runs(hospital: ReadmeHospital) -> None:
    path, urls = hospital
    outcome = migrate(read_specification(path, urls))
    assert outcome.status is ExitStatus.COMPLETE, outcome.problems
    counts = {
        name: (t.read, t.accepted, t.rejected, t.skipped, t.written)
        for name, t in outcome.summary.tables.items()
    }
    assert counts == {
        "patients": (6, 3, 2, 1, 3),
        "encounters": (5, 2, 2, 1, 2),
        "conditions": (6, 3, 2, 1, 4),
    }
    assert outcome.summary.violations == {
        "DATA-001": 1,
        "DATA-002": 2,
        "DATA-003": 1,
        "DATA-004": 1,
        "TRANS-002": 2,
        "TRANS-003": 1,
    }
    assert outcome.summary.warnings == {"DATA-002": 2, "DATA-005": 1}


def test_the_files_of_the_readme_are_read(hospital: ReadmeHospital) -> None:
    path, urls = hospital
    (path.parent / "extract").mkdir()
    (path.parent / "extract" / "claims_1.csv").write_text("CLM_ID,CLM_PMT_AMT\n1,10.5\n2,x\n3\n")
    with psycopg.connect(urls["TARGET_URL"]) as connection:
        connection.execute(
            "CREATE TABLE claims (claim_id bigint PRIMARY KEY, paid numeric(12,2), file text,"
            " line bigint)"
        )
    target = 'job: files\ntarget: {url: "${TARGET_URL}", control_schema: migration}\n'
    path.write_text(target + readme_block("yaml", "path: ./extract"), encoding="utf-8")
    outcome = migrate(read_specification(path, urls))
    assert outcome.status is ExitStatus.COMPLETE, outcome.problems
    assert outcome.summary.violations == {"DATA-001": 1, "DATA-003": 1}
    with psycopg.connect(urls["TARGET_URL"]) as connection:
        assert connection.execute("TABLE claims").fetchall() == [
            (1, Decimal("10.50"), "claims_1.csv", 2)
        ]


def test_the_problems_of_the_readme_are_those_that_are_told(
    hospital: ReadmeHospital, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = hospital
    text = path.read_text().replace("{from: pat_id, required", "{from: patid, required", 1)
    path.write_text(text.replace("const: MEDI-2", "const: MEDITECH", 1))
    assert main(["migrate", str(path)]) == 2
    told = capsys.readouterr().err.replace(f"{path.parent}/", "")
    assert told == readme_block("", "TRANS-001 hospital.yaml")


def test_the_query_of_the_readme_runs(hospital: ReadmeHospital) -> None:
    path, urls = hospital
    migrate(read_specification(path, urls))
    (query,) = re.findall(r"^    (SELECT e\.source_table.*?;)$", README, re.DOTALL | re.MULTILINE)
    with psycopg.connect(urls["TARGET_URL"]) as connection:
        found = connection.execute(query).fetchall()
    followed = {(row[1], row[2], row[5]) for row in found}
    assert {("3", "patient_id", "3"), ("4", "encounter_id", "3")} <= followed


def rows_of_table(first_cell: str) -> list[list[str]]:
    """The rows of those Markdown tables whose first cells match."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in README.split("\n") if line[:1] == "|"]
    cells = [[cell.strip() for cell in row] for row in rows]
    return [row for row in cells if re.fullmatch(first_cell, row[0])]


def test_the_error_codes_are_those_of_the_catalogue() -> None:
    rows = rows_of_table(r"[A-Z]+-\d{3}")
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (code.value, code.description, code.severity.label) for code in ErrorCode
    ]


def test_the_exit_statuses_are_those_of_the_code() -> None:
    assert [int(row[0]) for row in rows_of_table(r"\d")] == [int(status) for status in ExitStatus]


def test_the_verbs_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\w+)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
    documented = {row[0].split()[1] for row in rows_of_table("`transfuse .*`")}
    assert documented == set(listed)


def test_the_ready_rules_are_those_of_the_code() -> None:
    rows = rows_of_table("`(?!transfuse)[a-z0-9_]+`")
    told = {row[0].strip("`"): row[2] for row in rows if row[0].strip("`") in READY_RULES}
    assert told == {
        name: rule.error.value + (", warns" if rule.warns else "")
        for name, rule in READY_RULES.items()
    }


def code_of_the_readme() -> tuple[str, set[str]]:
    """The YAML of the README with all code of its text, and that code piece by piece."""
    fenced = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    yaml = [text for language, text in fenced.findall(README) if language == "yaml"]
    inline = re.findall(r"`([^`]+)`", fenced.sub("", README))
    return "\n".join([*yaml, *inline]), set(inline)


def test_every_key_of_a_specification_is_named() -> None:
    """As a key with its colon, or by itself as code: as a word of English it isn't enough."""
    code, pieces = code_of_the_readme()
    keys = set(re.findall(r"(?<![\w.])([a-z][a-z0-9_]*)(?=:\s)", code))
    named = {part for piece in pieces for part in piece.split(".")}
    # Never written: a budget's codes and an action have no key of their own.
    left_out = {"codes", "action"}
    for model in models_in(Specification):
        for name, info in model.model_fields.items():
            key = info.alias or name
            assert key in keys | named | left_out, f"{model.__name__}.{key}"
    assert set(TRANSFORMATIONS) <= named
    assert set(GEM_ATTRIBUTES) <= named


def models_in(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = {model, Load, Field, GemPolicy}
    waiting: list[type[BaseModel]] = [model, Load]
    while waiting:
        for info in waiting.pop().model_fields.values():
            for inner in annotated_models(info.annotation):
                if inner not in found:
                    found.add(inner)
                    waiting.append(inner)
    return found


def annotated_models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in getattr(annotation, "__args__", ()) for m in annotated_models(a)]


def test_links_lead_to_files() -> None:
    for name in (
        "README.md",
        "ARCHITECTURE.md",
        "CHANGES.md",
        "docs/clusters.md",
        "docs/error-codes.md",
    ):
        text = (PROJECT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((PROJECT / name).parent / link).exists(), f"{name}: {link}"


def test_the_architecture_names_files_that_exist() -> None:
    text = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = ("schemas", "transforms", "pipelines", "clusters", "demo", "tests", "bench", "specs")
    files = {path.name for package in packages for path in (PROJECT / package).rglob("*.py")}
    assert set(re.findall(r"\b\w+\.py\b", text)) <= files
    for path in re.findall(r"`(\w+/[\w./]*)`", text):
        assert (PROJECT / path).exists(), path
