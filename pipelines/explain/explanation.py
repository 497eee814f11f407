"""``explain``: the guide's entry for a code, filled in for a job."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.explain.fill_commands import FilledCommand, fill_commands
from pipelines.explain.job_facts import JobFacts, JobLoad
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.guide.guide_catalogue import GUIDE
from schemas.guide.guide_entry import GuideEntry, GuideProcedure
from schemas.guide.guide_procedures import PROCEDURES
from schemas.guide.guide_step import GuideStep

_CODE = re.compile(r"([A-Za-z]+)[-_ ]?0*([0-9]{1,3})")


@dataclass(frozen=True)
class FilledStep:
    """A step with its commands filled in."""

    step: GuideStep
    commands: tuple[FilledCommand, ...]


@dataclass(frozen=True)
class Explanation:
    """The entry of a code with its steps filled in."""

    entry: GuideEntry
    diagnosis: tuple[FilledStep, ...]
    resolution: tuple[FilledStep, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FilledProcedure:
    """A procedure of the guide with its steps filled in."""

    procedure: GuideProcedure
    steps: tuple[FilledStep, ...]


def explain_code(
    code: ErrorCode | str, facts: JobFacts | None = None, only: Sequence[str] = ()
) -> Explanation:
    """Explain an error code.

    Args:
        code: The code, such as ``DATA-001``.
        facts: The facts of a job (``read_job_facts``), with which the commands are filled in;
            None for readable names in their place.
        only: The loads that commands are for; empty for all.

    Returns:
        The entry of the guide. Steps that the job has no object for are left out.

    Raises:
        TransfuseError: USER-001 for a code or a load that doesn't exist.
    """
    entry = GUIDE[_code_of(code)]
    loads = _loads_of(facts, only)
    return Explanation(
        entry,
        _fill_steps(entry.diagnosis, facts, loads),
        _fill_steps(entry.resolution, facts, loads),
        () if facts is None else facts.notes,
    )


def explain_procedures(
    facts: JobFacts | None = None, only: Sequence[str] = ()
) -> tuple[FilledProcedure, ...]:
    """The guide's procedures for health, logs, performance and emergencies.

    Args:
        facts: As for ``explain_code``.
        only: As for ``explain_code``.

    Returns:
        The procedures in the order of the guide.

    Raises:
        TransfuseError: USER-001 for a load that doesn't exist.
    """
    loads = _loads_of(facts, only)
    return tuple(
        FilledProcedure(procedure, _fill_steps(procedure.steps, facts, loads))
        for procedure in PROCEDURES
    )


def _fill_steps(
    steps: Sequence[GuideStep], facts: JobFacts | None, loads: Sequence[JobLoad]
) -> tuple[FilledStep, ...]:
    filled = [FilledStep(step, fill_commands(step, facts, loads)) for step in steps]
    return tuple(one for one in filled if one.commands or not one.step.command)


def _code_of(code: ErrorCode | str) -> ErrorCode:
    if isinstance(code, ErrorCode):
        return code
    codes = [member.value for member in ErrorCode]
    if code.upper() in codes:
        return ErrorCode(code.upper())
    shape = _CODE.fullmatch(code.strip())
    meant = f"{shape[1].upper()}-{int(shape[2]):03}" if shape else code.upper()
    close = [meant] if meant in codes else difflib.get_close_matches(meant, codes, 1)
    remedy = f"did you mean '{close[0]}'?" if close else "'transfuse explain' lists all codes"
    message = f"there is no error code '{code}'"
    raise TransfuseError(Problem(ErrorCode.USER_001, message, remedy=remedy))


def _loads_of(facts: JobFacts | None, only: Sequence[str]) -> tuple[JobLoad, ...]:
    if facts is None:
        return ()
    by_name = {load.name: load for load in facts.loads}
    unknown = next((name for name in only if name not in by_name), None)
    if unknown is not None:
        close = difflib.get_close_matches(unknown, by_name, 1)
        remedy = f"did you mean '{close[0]}'?" if close else f"loads: {', '.join(by_name)}"
        message = f"there is no load '{unknown}'"
        raise TransfuseError(Problem(ErrorCode.USER_001, message, facts.file, remedy))
    return tuple(by_name[name] for name in only) if only else facts.loads
