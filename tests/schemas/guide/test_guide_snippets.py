"""Parts of a specification that the guide prints are accepted by the models."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from schemas.guide.guide_catalogue import GUIDE
from schemas.guide.guide_step import CommandLanguage
from schemas.specification.reading import read_specification

SNIPPETS = [
    step.command
    for step in chain.from_iterable(entry.steps for entry in GUIDE.values())
    if step.language is CommandLanguage.YAML
]

TOP = ("source", "target", "limits", "monitor")
OF_A_LOAD = ("rules", "duplicates", "write")

BASE = {
    "source": 'source: {url: "postgresql://a@b/c"}',
    "target": 'target: {url: "postgresql://a@b/d"}',
}


def indented(text: str, depth: int) -> str:
    return "\n".join(" " * depth + line for line in text.splitlines())


def whole(snippet: str) -> str:
    """A specification that contains a snippet where it belongs."""
    first = snippet.partition(":")[0]
    lines = ["job: snippets"]
    lines += [line for key, line in BASE.items() if f"\n{key}:" not in f"\n{snippet}"]
    load = "  patients:\n    from: p\n    key: [id]\n"
    fields = "    fields:\n      id: {from: id}\n      discharged_at: {from: d}\n"
    fields += "      admitted_at: {from: a}\n"
    if first in TOP:
        return "\n".join([*lines, snippet, "tables:", load + fields])
    if first in OF_A_LOAD:
        return "\n".join([*lines, "tables:", load + fields + indented(snippet, 4)])
    if first == "patients":
        return "\n".join([*lines, "tables:", indented(snippet, 2)])
    inside = "    fields:\n      id: {from: id}\n" + indented(snippet, 6)
    child = "  visits:\n    from: v\n    key: [id]\n"
    parents = load + fields if "ref: patients" in snippet else ""
    return "\n".join([*lines, "tables:", parents + child + inside])


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_specification_with_it_is_accepted(snippet: str, tmp_path: Path) -> None:
    path = tmp_path / "snippet.yaml"
    path.write_text(whole(snippet))
    variables = {"TARGET_URL": "postgresql://a@b/d"}
    assert read_specification(path, variables).job == "snippets"


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) > 12
