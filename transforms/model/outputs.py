"""The tagged outputs of the pipeline: one for each error category, with its type."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.errors import Category, ErrorCode
from transforms.model.partition import Partition

ROWS = "rows"
"""The main output of a step that passes batches on."""

COMMITTED = "committed"
"""The main output: what became of each partition."""

ROW_CATEGORIES = (Category.DATA, Category.TRANSFORMATION)
"""Categories whose output carries violations of rows (``schemas.violations``)."""

PARTITION_CATEGORIES = (Category.CONNECTION, Category.SYSTEM, Category.USER)
"""Categories whose output carries partitions that failed as a whole."""


@dataclass(frozen=True)
class FailedPartition:
    """A partition that couldn't be read or committed, and why."""

    partition: Partition
    code: ErrorCode
    message: str


@dataclass(frozen=True)
class CommittedViolations:
    """The violations of one category that were committed with a partition."""

    partition: Partition
    category: Category
    violations: pa.RecordBatch
