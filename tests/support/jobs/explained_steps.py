"""All steps that ``explain`` prints, filled in for a specification."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from pipelines.explain.explanation import FilledStep, explain_code, explain_procedures
from pipelines.explain.job_facts import JobFacts
from schemas.errors import ErrorCode
from schemas.guide.guide_step import CommandLanguage


def explained_steps(facts: JobFacts | None) -> Iterator[tuple[str, FilledStep]]:
    """Each step with the code or the title of the procedure that it belongs to."""
    for code in ErrorCode:
        entry = explain_code(code, facts)
        for step in chain(entry.diagnosis, entry.resolution):
            yield code.value, step
    for procedure in explain_procedures(facts):
        for step in procedure.steps:
            yield procedure.procedure.title, step


def explained_commands(
    facts: JobFacts | None, language: CommandLanguage
) -> Iterator[tuple[str, str, str]]:
    """Each command of a language: where it belongs, the place it runs at, and its text."""
    for belongs_to, step in explained_steps(facts):
        if step.step.language is language:
            for command in step.commands:
                yield belongs_to, command.place, command.text
