"""Output of ``doctor``: facts in a table, findings with their fixes below, or JSON."""

from __future__ import annotations

import textwrap
from typing import Any

from pipelines.doctor.diagnose import Diagnosis
from pipelines.doctor.health_finding import FindingLevel, HealthFinding
from pipelines.terminal.console import print_json, stdout

_WIDTH = 80
_UNBROKEN = "\xa0"


def print_diagnosis(diagnosis: Diagnosis, as_json: bool) -> None:
    """Print a diagnosis on stdout; fixes are never wrapped, so that they can be copied."""
    if as_json:
        print_json(diagnosis_document(diagnosis))
        return
    console = stdout()
    for line in _fact_lines(diagnosis):
        console.print(line, soft_wrap=True)
    for finding in diagnosis.findings:
        console.print()
        for line in _finding_lines(finding):
            console.print(line, soft_wrap=True)
    counts = ", ".join(_count(diagnosis, level) for level in FindingLevel)
    console.print(f"\n{diagnosis.job}: {counts}, in {diagnosis.seconds:.1f} s", soft_wrap=True)


def _count(diagnosis: Diagnosis, level: FindingLevel) -> str:
    count = len(diagnosis.of_level(level))
    if level is FindingLevel.ADVICE:
        return f"{count} piece{'' if count == 1 else 's'} of advice"
    return f"{count} {level.value}{'' if count == 1 else 's'}"


def _fact_lines(diagnosis: Diagnosis) -> list[str]:
    """The facts, subject by subject, in lines of at most 80 columns."""
    by_subject: dict[str, list[str]] = {}
    for fact in diagnosis.facts:
        text = f"{fact.name}: {_text(fact.value)}"
        # A line breaks between facts, never within one.
        by_subject.setdefault(fact.subject, []).append(text.replace(" ", _UNBROKEN))
    lines = []
    for subject, facts in by_subject.items():
        lines.append(subject)
        wrapped = textwrap.wrap(
            "; ".join(facts), _WIDTH, initial_indent="  ", subsequent_indent="  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        lines += [line.replace(_UNBROKEN, " ") for line in wrapped]
    return lines


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _finding_lines(finding: HealthFinding) -> list[str]:
    head = f"{finding.level.value.upper()} {finding.code.value} ({finding.severity.label})"
    text = f"{head} {finding.subject}: {finding.reason}"
    lines = textwrap.wrap(
        text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    first, *others = finding.fix.splitlines() or [""]
    return [*lines, *([f"  -> {first}"] if first else []), *(f"     {line}" for line in others)]


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as JSON."""
    facts: dict[str, dict[str, Any]] = {}
    for fact in diagnosis.facts:
        facts.setdefault(fact.subject, {})[fact.name] = fact.value
    return {
        "job": diagnosis.job,
        "deep": diagnosis.is_deep,
        "seconds": round(diagnosis.seconds, 1),
        "findings": [
            {
                "level": finding.level.value,
                "code": finding.code.value,
                "severity": finding.severity.label,
                "object": finding.subject,
                "reason": finding.reason,
                "fix": finding.fix,
            }
            for finding in diagnosis.findings
        ],
        "facts": facts,
    }
