"""Output of ``stop --emergency``: the guide's checklist, with what has been done of it."""

from __future__ import annotations

from dataclasses import asdict

from pipelines.terminal.console import print_json, stdout
from pipelines.watch.emergency import EmergencyResult


def print_emergency(result: EmergencyResult, specification: str, as_json: bool) -> None:
    """Print what was stopped, and what people have to do now.

    Args:
        result: The effect of the stop.
        specification: The file of the specification, ready to be copied into a command.
        as_json: Whether to print one JSON document.
    """
    if as_json:
        print_json(asdict(result))
        return
    for line in [*_done(result), "", *_to_do(result, specification)]:
        stdout().print(line, markup=False, soft_wrap=True)


def _done(result: EmergencyResult) -> list[str]:
    what = f"Isolated: {', '.join(result.loads)}" if result.loads else f"Halted: job {result.job}"
    lines = [
        f"{what} (by {result.person}: {result.reason})",
        "",
        "Done (0-15 minutes: contain the issue, notify)",
        "  [x] nothing is written to it any more, and no commit is under way",
        f"  [x] sessions of the run ended on the target: {result.terminated}",
    ]
    lines.append(f"  [x] incident {result.incident} is opened")
    for pid in result.remaining:
        lines.append("  [ ] a session that this role may not end; it can store nothing:")
        lines.append(f"      SELECT pg_terminate_backend({pid});")
    if result.is_notified:
        lines.append("  [x] a notice is sent to the channels of 'notify'")
    else:
        lines.append("  [ ] notify the stakeholders: there is no 'notify' in the specification")
    return lines


def _to_do(result: EmergencyResult, specification: str) -> list[str]:
    return [
        "To do by people (0-15 minutes)",
        "  [ ] assess the situation: severity, affected systems, scope:",
        f"      transfuse status {specification}",
        "  [ ] if applications rely on the target, activate their backup systems",
        "To do by people (15-60 minutes)",
        "  [ ] investigate the root cause:",
        f"      transfuse doctor {specification}",
        "  [ ] work around it: temporary fixes, manual processes",
        "When it is safe again",
        *[f"  [ ] {command}" for command in result.resume],
        f"  [ ] transfuse migrate {specification}",
    ]
