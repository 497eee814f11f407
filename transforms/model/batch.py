"""The element of the pipeline: the candidates of one partition, with their violations."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field, replace

import pyarrow as pa
from apache_beam.coders import Coder
from apache_beam.coders.typecoders import registry

from schemas.violations import concat_violations
from transforms.model.partition import Partition
from transforms.model.source_rows import no_unread


@dataclass(frozen=True)
class CandidateBatch:
    """The rows of a partition on their way through the steps.

    ``rows`` has the columns that ``transforms.model.program`` describes, ``violations``
    those of ``schemas.violations``. ``read`` counts source rows, ``empty`` those of them
    that gave no candidate; the candidates have the ordinals 0 to ``candidates`` - 1. Those
    of ``unread`` (``transforms.sources.source_access``) have a violation and no row.
    """

    partition: Partition
    rows: pa.RecordBatch
    violations: pa.RecordBatch
    read: int
    empty: int
    candidates: int
    unread: pa.RecordBatch = field(default_factory=no_unread)

    def having(self, rows: pa.RecordBatch, *violations: pa.RecordBatch) -> CandidateBatch:
        """This batch with other rows, and with more violations."""
        return replace(
            self, rows=rows, violations=concat_violations([self.violations, *violations])
        )

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes + self.violations.nbytes + self.unread.nbytes)


def encode_batch(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """Encode a RecordBatch as an Arrow IPC stream; ``compression`` is lz4, zstd or none."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def decode_batch(stream: bytes) -> pa.RecordBatch:
    """Decode an Arrow IPC stream. Raises ValueError if it holds several batches."""
    with pa.ipc.open_stream(stream) as reader:
        batch = reader.read_next_batch()
        if any(True for _ in reader):
            raise ValueError("the stream of a RecordBatch holds a second batch")
    return batch


class RecordBatchCoder(Coder):
    """Encodes a RecordBatch as an Arrow IPC stream.

    Pickle, which Beam falls back to, writes the whole parent buffer of a slice: 1.25 MB
    for 100 rows of a large batch, where this writes 3 KB.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        return encode_batch(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        return decode_batch(encoded)

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """The size in memory: to encode it only to know would cost as much as to ship it."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        return pa.RecordBatch  # type: ignore[no-any-return]


class CandidateBatchCoder(Coder):
    """Encodes a CandidateBatch: its counts pickled, its tables as Arrow IPC streams."""

    _batches = RecordBatchCoder()

    def encode(self, value: CandidateBatch) -> bytes:
        counts = (value.partition, value.read, value.empty, value.candidates)
        tables = map(self._batches.encode, (value.rows, value.violations, value.unread))
        return pickle.dumps((counts, *tables), protocol=5)

    def decode(self, encoded: bytes) -> CandidateBatch:
        (partition, read, empty, candidates), *tables = pickle.loads(encoded)
        rows, violations, unread = map(self._batches.decode, tables)
        return CandidateBatch(
            partition,
            rows,
            violations,
            read,
            empty,
            candidates,
            unread,
        )

    def estimate_size(self, value: CandidateBatch) -> int:
        return value.nbytes

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        return CandidateBatch


registry.register_coder(pa.RecordBatch, RecordBatchCoder)
registry.register_coder(CandidateBatch, CandidateBatchCoder)
