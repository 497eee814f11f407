"""Fills in the commands of a step, for a job or with readable names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.explain.fillings import fillings_of
from pipelines.explain.job_facts import JobFacts, JobLoad
from pipelines.explain.sql_names import quote_literal
from schemas.guide.guide_step import CommandLanguage, CommandScope, GuideStep

_PLACEHOLDER = re.compile(r"'\{([a-z_]+)\}'|\{([a-z_]+)\}")

READABLE: Mapping[str, str] = {
    "specification": "SPEC",
    "specification_file": "SPEC",
    "job_name": "JOB",
    "control": "",
    "load": "LOAD",
    "row": "'{\"COLUMN\": null}'",
    "metrics_port": "9464",
    "host": "HOST",
    "port": "PORT",
    "database": "DATABASE",
    "database_name": "DATABASE",
    "role": "ROLE",
    "role_name": "ROLE",
    "source_table": "SOURCE_TABLE",
    "source_rows": "SOURCE_TABLE",
    "target_table": "TARGET_TABLE",
    "missing_counts": "count(*) FILTER (WHERE nullif(btrim(COLUMN::text), '') IS NULL) AS n",
    "key_columns": "KEY_COLUMNS",
    "child_table": "CHILD_TABLE",
    "child_column": "CHILD_COLUMN",
    "parent_table": "PARENT_TABLE",
    "parent_column": "PARENT_COLUMN",
    "code_column": "CODE_COLUMN",
}
"""The names that stand in for those of a specification where there is none."""

_PLACES = {
    CommandScope.MACHINE: "",
    CommandScope.JOB: "",
    CommandScope.LOADS: "",
}


@dataclass(frozen=True)
class FilledCommand:
    """A command that can be copied.

    Attributes:
        place: Where it runs, such as ``target new:5432/hospital``; empty for this machine.
        text: The command or statement.
    """

    place: str
    text: str


def fill_commands(
    step: GuideStep, facts: JobFacts | None, loads: Sequence[JobLoad] = ()
) -> tuple[FilledCommand, ...]:
    """Fill in the command of a step.

    Args:
        step: The step.
        facts: The job; None for readable names in the place of its own.
        loads: Those of its loads that are wanted.

    Returns:
        A command for each object of the step's scope; none where the job has no such object, or
        where the step is only advice.
    """
    if not step.command:
        return ()
    if facts is None:
        place = _PLACES.get(step.scope, step.scope.value)
        return (FilledCommand(place, _fill(step, READABLE, READABLE)),)
    filled = [
        FilledCommand(filling.place, _fill(step, filling.in_sql, filling.in_shell))
        for filling in fillings_of(step.scope, facts, loads)
    ]
    return tuple(dict.fromkeys(filled))


def _fill(step: GuideStep, in_sql: Mapping[str, str], in_shell: Mapping[str, str]) -> str:
    if step.language is CommandLanguage.YAML:
        return step.command
    values = in_shell if step.language is CommandLanguage.SHELL else in_sql

    def replace(match: re.Match[str]) -> str:
        quoted, bare = match.groups()
        if quoted is None:
            return values[bare]
        return quote_literal(values[quoted]) if values is in_sql else f"'{values[quoted]}'"

    return _PLACEHOLDER.sub(replace, step.command)
