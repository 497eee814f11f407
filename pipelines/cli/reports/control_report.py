"""Output of ``pause``, ``resume`` and ``stop``: a sentence, or the summary as JSON."""

from __future__ import annotations

from pipelines.terminal.console import print_json, stdout
from pipelines.watch.control import ControlEffect, ControlResult

_SENTENCES = {
    ControlEffect.PAUSES: "pauses when what is in work is committed",
    ControlEffect.GOES_ON: "goes on",
    ControlEffect.STOPS: "stops when what is in work is committed",
    ControlEffect.IS_STOPPED: "is stopped",
    ControlEffect.IS_RELEASED: "is released; 'migrate' continues it",
    ControlEffect.IS_ABANDONED: (
        "has no launcher any more; what an engine still has in work for it is committed"
    ),
}


def print_control(result: ControlResult, as_json: bool) -> None:
    """Print what a job does now; as JSON its summary."""
    if as_json:
        print_json(result.summary.model_dump())
    else:
        sentence = f"The job '{result.summary.job}' {_SENTENCES[result.effect]}."
        stdout().print(sentence, markup=False)
