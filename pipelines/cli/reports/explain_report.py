"""Output of ``explain``: all codes, the entry of one code, or the procedures for a job."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipelines.explain.explanation import Explanation, FilledProcedure, FilledStep
from pipelines.explain.fill_commands import FilledCommand
from pipelines.explain.job_facts import JobFacts
from pipelines.terminal.console import print_json, stdout, table_of
from schemas.guide.escalation_matrix import MATRIX
from schemas.guide.guide_catalogue import GUIDE
from schemas.guide.guide_entry import GuideEntry
from schemas.guide.guide_step import CommandLanguage
from schemas.guide.support_levels import time_in_words

_WIDTH = 80

_SEE_ENTRY = "transfuse explain CODE [SPEC] prints symptoms, causes, diagnosis and resolution."


def print_codes(as_json: bool) -> None:
    """Print a table of all codes."""
    if as_json:
        print_json({"codes": [_facts_of(entry) for entry in GUIDE.values()]})
        return
    rows = [
        (
            code.value,
            code.description,
            code.severity.label,
            time_in_words(entry.response.response_time),
        )
        for code, entry in GUIDE.items()
    ]
    table = table_of("Error codes", ("code", "meaning", "severity", "respond within"), (), rows)
    table.columns[0].no_wrap = True
    stdout().print(table)
    _print_lines([_SEE_ENTRY])


def print_entry(explanation: Explanation, as_json: bool) -> None:
    """Print everything about one code."""
    entry = explanation.entry
    if as_json:
        document = {
            **_facts_of(entry),
            "symptoms": entry.symptoms,
            "causes": entry.causes,
            "diagnosis": _step_documents(explanation.diagnosis),
            "resolution": _step_documents(explanation.resolution),
            "automatic": entry.automatic,
            "notes": explanation.notes,
        }
        print_json(document)
        return
    _print_lines(
        [
            f"{entry.code.value}: {entry.code.description}",
            "",
            *_summary(entry),
            *_list("Symptoms", entry.symptoms),
            *_list("Common causes", entry.causes),
            *_list("What Transfuse does by itself", entry.automatic),
            *_notes(explanation.notes),
            *_steps("Diagnosis", explanation.diagnosis),
            *_steps("Resolution", explanation.resolution),
        ]
    )


def print_procedures(facts: JobFacts, procedures: Sequence[FilledProcedure], as_json: bool) -> None:
    """Print the procedures for a job."""
    if as_json:
        document = {
            "job": facts.job,
            "procedures": [
                {"title": one.procedure.title, "steps": _step_documents(one.steps)}
                for one in procedures
            ],
            "notes": facts.notes,
        }
        print_json(document)
        return
    lines = [f"Troubleshooting {facts.job}", *_notes(facts.notes)]
    for one in procedures:
        lines += _steps(one.procedure.title, one.steps)
    _print_lines([*lines, "", f"For an error code: transfuse explain CODE {facts.file}"])


def _facts_of(entry: GuideEntry) -> dict[str, Any]:
    code, response = entry.code, entry.response
    return {
        "code": code.value,
        "description": code.description,
        "category": code.category.value,
        "severity": code.severity.label,
        "impact": response.impact,
        "respond_within_seconds": int(response.response_time.total_seconds()),
        "escalation": response.escalation,
        "support_level": response.support_level.value,
        "issue_type": entry.issue_type.value,
        "contacts": {
            str(level.value): contact for level, contact in MATRIX[entry.issue_type].items()
        },
    }


def _step_documents(steps: Iterable[FilledStep]) -> list[dict[str, Any]]:
    return [
        {
            "text": one.step.text,
            "language": one.step.language.value if one.step.command else None,
            "commands": [{"place": c.place, "command": c.text} for c in one.commands],
            "differs_from_guide": one.step.differs or None,
        }
        for one in steps
    ]


def _summary(entry: GuideEntry) -> Iterator[str]:
    response = entry.response
    time = time_in_words(response.response_time)
    yield from _wrapped(f"{entry.code.severity.label}: {response.impact}", "Severity    ")
    yield from _wrapped(f"{time}; {response.escalation}", "Respond in  ")
    contacts = [f"{c} ({level.value})" for level, c in MATRIX[entry.issue_type].items()]
    yield from _wrapped(f"{entry.issue_type.value}: {', '.join(contacts)}", "Contacts    ")


def _list(title: str, texts: Iterable[str]) -> Iterator[str]:
    yield from ("", title)
    for text in texts:
        yield from _wrapped(text, "  - ")


def _notes(notes: Iterable[str]) -> Iterator[str]:
    for note in notes:
        yield ""
        yield from _wrapped(note, "Note: ")


def _steps(title: str, steps: Iterable[FilledStep]) -> Iterator[str]:
    yield from ("", title)
    for number, one in enumerate(steps, 1):
        word = "on" if one.step.language is CommandLanguage.SQL else "for"
        yield from _wrapped(one.step.text, f"{number:3}. ")
        heading = ""
        for text, places in _places_by_text(one.commands).items():
            if " and ".join(places) != heading:
                heading = " and ".join(places)
                yield from _wrapped(f"{word} {heading}:", "     ")
            yield from (f"       {line}".rstrip() for line in text.splitlines())
        if one.step.language is CommandLanguage.YAML and one.commands:
            yield "     (a part of the specification)"
        if one.step.differs:
            yield from _wrapped(one.step.differs, "     Not as in the guide: ")


def _places_by_text(commands: Iterable[FilledCommand]) -> dict[str, list[str]]:
    """The places of each command: most statements are the same for source and target."""
    places: dict[str, list[str]] = {}
    for command in commands:
        places.setdefault(command.text, []).append(command.place)
    return places


def _wrapped(text: str, start: str) -> list[str]:
    indent = " " * len(start) if len(start) < 20 else " " * 5
    return textwrap.wrap(
        text, _WIDTH, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False
    )


def _print_lines(lines: Iterable[str]) -> None:
    # Commands are copied, so they are never wrapped.
    stdout().print("\n".join(lines), soft_wrap=True)
