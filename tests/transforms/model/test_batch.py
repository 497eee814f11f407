"""The coders of the pipeline's elements."""

from __future__ import annotations

import pickle

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.coders import registry
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from schemas.errors import ErrorCode
from schemas.violations import Violation, violations_of
from transforms.model.batch import CandidateBatch, CandidateBatchCoder, RecordBatchCoder
from transforms.model.partition import Partition


def batch(rows: int) -> CandidateBatch:
    values = pa.record_batch({"src.id": pa.array(range(rows)), "src.t": ["x" * 50] * rows})
    violations = violations_of([0], Violation(ErrorCode.DATA_001, "RULE", "id"))
    return CandidateBatch(
        Partition("load", "000001", "TRUE", rows), values, violations, rows, 0, rows
    )


def test_a_batch_survives_its_coder() -> None:
    coder = CandidateBatchCoder()
    given = batch(100)
    assert coder.decode(coder.encode(given)) == given


def test_a_slice_is_encoded_without_the_rows_around_it() -> None:
    whole = batch(100_000).rows
    part = whole.slice(5_000, 100)
    encoded = RecordBatchCoder().encode(part)
    assert RecordBatchCoder().decode(encoded).equals(part)
    assert len(encoded) < len(pickle.dumps(part)) / 100


def test_a_stream_with_a_second_batch_is_refused() -> None:
    rows = batch(10).rows
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
        writer.write_batch(rows)
    with pytest.raises(ValueError, match="second batch"):
        RecordBatchCoder().decode(sink.getvalue().to_pybytes())


def test_the_size_is_known_without_encoding() -> None:
    given = batch(1000)
    assert RecordBatchCoder().estimate_size(given.rows) == given.rows.nbytes
    assert CandidateBatchCoder().estimate_size(given) == given.nbytes


class _Read(beam.DoFn):
    def process(self, element: int):  # type: ignore[no-untyped-def]
        yield batch(element)


def test_beam_uses_the_coder_where_a_batch_is_materialised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untyped step would yield Any, and the coder would be left out without a word."""
    encoded = []
    encode = CandidateBatchCoder.encode

    def counting(self: CandidateBatchCoder, value: CandidateBatch) -> bytes:
        encoded.append(value.read)
        return encode(self, value)

    monkeypatch.setattr(CandidateBatchCoder, "encode", counting)
    assert isinstance(registry.get_coder(CandidateBatch), CandidateBatchCoder)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        read = (
            pipeline
            | beam.Create([3, 7])
            | beam.ParDo(_Read()).with_output_types(CandidateBatch)
            | beam.Reshuffle()
            | beam.Map(lambda b: b.read)
        )
        assert_that(read, equal_to([3, 7]))
    assert {3, 7} <= set(encoded)
