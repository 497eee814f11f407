"""Policies are stored as the words of a specification, and wrong ones are refused with the list."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from schemas.errors import TransfuseError
from schemas.specification.reading import read_specification
from schemas.specification.root import Specification

SPECIFICATION = """
job: j
source: {path: /x, format: parquet}
target: {url: "postgresql://h/t", indexes: after_load}
errors: {format: avro}
defaults: {blank: keep}
maps:
  g: {policy: {approximate: no_target, choice: keep_source, mixed: expand}, notation: dotted}
  h: {packaged: icd10_to_icd9, outdated: accept, policy: {unknown_code: no_target}}
  v: {values: {a: b}, on_unmapped: keep}
  d: {values: {a: b}, on_unmapped: {default: z}}
tables:
  b: {from: {file: b}, key: [id], fields: {id: {generate: uuid5}, at: {system: started_at}}}
  a:
    from: {file: a, split: {column: x, into: y, empty: reject}}
    key: [k]
    write: skip_existing
    duplicates: {keep: last, losers: skip}
    rules: {R: {check: "n > 1", on_fail: warn}}
    fields:
      k: {from: k, ref: b, on_missing: allow}
      l: {from: l, ref: b, on_missing: {placeholder: {n: x}}, on_skipped: reject}
      m: {from: m, ref: b, on_missing: placeholder}
      n: {from: n, type: int, on_error: set_null}
      t: {from: t, type: timestamptz, format: "%Y", zone: UTC, on_ambiguous: later}
"""


def read(tmp_path: Path, text: str) -> Specification:
    path = tmp_path / "specification.yaml"
    path.write_text(text)
    return read_specification(path, {}, defer_fields=True)


def test_a_job_that_has_begun_keeps_its_definitions(tmp_path: Path) -> None:
    specification = read(tmp_path, SPECIFICATION)
    stored = [part.model_dump(mode="json", by_alias=True) for part in specification.tables.values()]
    digest = hashlib.sha256(json.dumps(stored).encode()).hexdigest()
    assert digest == "df4aac6438f81707a8b5e837eceb63e1895aa0a677ecdc5eb143cf41931a8807"
    assert (
        specification.digest == "c139c8a762610b8c86509159c0749f293fce55c498ef6a581177cc4ff8a70599"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("write: skip_existing", "write: never", "'insert', 'skip_existing' or 'upsert'"),
        ("on_skipped: reject", "on_skipped: as_missing", "'skip' or 'reject'"),
        ("on_missing: allow", "on_missing: no", "'reject', 'set_null', 'allow' or 'placeholder'"),
        ("on_unmapped: keep", "on_unmapped: default", "'reject', 'keep' or 'set_null'"),
        ("mixed: expand", "mixed: accept", "'reject', 'no_target' or 'expand'"),
        ("format: avro", "format: csv", "'avro' or 'parquet'"),
        ("outdated: accept", "outdated: []", "'accept', 'warn' or 'reject'"),
    ],
)
def test_a_wrong_word_is_refused_with_the_words_allowed(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    with pytest.raises(TransfuseError) as raised:
        read(tmp_path, SPECIFICATION.replace(old, new))
    (problem,) = raised.value.problems
    assert problem.message.endswith(f" is not one of the values it may have: {words}")
