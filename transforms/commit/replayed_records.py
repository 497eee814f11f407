"""What the control tables keep of rejected rows that are tried again."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa

from schemas.violations import ORDINAL
from transforms.commit.row_records import RowRecords
from transforms.ledger.open_violation import Kind, OpenViolation
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.batch import CandidateBatch


class ReplayedRecords(RowRecords):
    """Stores the violations of rows beside those that they had before.

    A violation that occurs again stays open with one more attempt; one that doesn't is closed as
    replayed; and a new one counts the attempts of its row.

    Attributes:
        earlier: The open violations of the rows.
        written: The digests of the target keys under which rows were written, by source key.
    """

    def __init__(
        self, ledger: WorkerLedger, batch: CandidateBatch, earlier: Sequence[OpenViolation]
    ) -> None:
        super().__init__(ledger, batch)
        self.earlier = earlier
        self.written: dict[str, list[str]] = {}

    def keep_keys(self, written: pa.RecordBatch, skipped: dict[int, str]) -> None:
        super().keep_keys(written, skipped)
        keys, targets = self.source_keys(written), self.target_keys(written)
        for key, target in zip(keys.to_pylist(), targets.to_pylist(), strict=True):
            if target is not None:
                self.written.setdefault(key, []).append(digest_of(target))

    def keep_violations(self, violations: pa.RecordBatch) -> None:
        key_of = self._keys_by_ordinal()
        attempts: dict[str, int] = defaultdict(int)
        earlier: dict[tuple[str, Kind], OpenViolation] = {}
        for violation in self.earlier:
            attempts[violation.source_key] = max(attempts[violation.source_key], violation.attempts)
            earlier[violation.source_key, violation.kind] = violation
        repeated: dict[int, int | None] = {}
        new, tried = [], []
        for place, row in enumerate(violations.to_pylist()):
            key, cause = key_of[row[ORDINAL]], row["root_cause"]
            kind = (row["code"], row["rule"], row["field"], row["reason"], row["warning"])
            same = earlier.get((key, kind))
            if same is not None and same.id not in repeated:
                repeated[same.id] = None if cause is None else int(cause)
            else:
                new.append(place)
                tried.append(attempts[key] + 1)
        self.ledger.violations.repeat(repeated)
        closed = [violation for violation in self.earlier if violation.id not in repeated]
        self.ledger.violations.close_replayed(
            {violation.id: self.written.get(violation.source_key, []) for violation in closed}
        )
        self.copy_violations(
            violations.take(pa.array(new, pa.int64())), pa.array(tried, pa.int32())
        )

    def _keys_by_ordinal(self) -> Mapping[int, str]:
        unread = self.batch.unread
        rows = zip(
            self.rows.column(ORDINAL).to_pylist(),
            self.source_keys(self.rows).to_pylist(),
            strict=True,
        )
        others = zip(*(unread.column(n).to_pylist() for n in (ORDINAL, "source_key")), strict=True)
        return {**dict(rows), **dict(others)}


def digest_of(target_key: str) -> str:
    """The digest that stands for a target key among written ones: an index entry of bounded size.

    Args:
        target_key: The key as text.
    """
    return hashlib.md5(target_key.encode(), usedforsecurity=False).hexdigest()
