"""A folder of files as a source: what there is, and how it is divided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import Column, Relation
from schemas.column_types import BIGINT, TEXT
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.named_relation import NamedRelation
from schemas.violations import ORDINAL
from transforms.keys.repeated_hashes import having_hash, repeated_hashes
from transforms.keys.source_keys import source_keys
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds
from transforms.model.source_rows import FILE, ROW, SourceRows
from transforms.sources.entered_row import as_candidates
from transforms.sources.files.entered_file_row import entered_file_row
from transforms.sources.files.file_columns import describe_files, unite_columns
from transforms.sources.files.file_format import FileFormat, FileProblem, FileRange
from transforms.sources.files.file_reader import FileAddress, report_file_errors
from transforms.sources.files.opening import FileEntry
from transforms.sources.source_access import NoSuchRelation, Source, changed_source
from transforms.sql.duckdb_engine import evaluate_each, one_array, select

KIND = "file"
"""What ``Relation.kind`` is of files."""


class FileSource(Source):
    """The files of a folder. They must stay as they are until the run has ended."""

    def __init__(self, folder: str, form: FileFormat, follow_links: bool = False) -> None:
        self._address = FileAddress(folder, form, follow_links)
        self._reader = self._address.open()
        self._states: dict[str, dict[str, list[float]]] = {}
        self._seen: dict[str, dict[str, list[float]]] = {}
        self._cancelled = False

    @property
    def address(self) -> FileAddress:
        return self._address

    def relation(self, named: NamedRelation) -> Relation:
        pattern = named.file or named.table
        if pattern is None:
            raise NoSuchRelation(
                "query", "files can't be queried", ErrorCode.SYS_004, "name them, as with 'file'"
            )
        key = "file" if named.file else "table"
        try:
            return self._relation(pattern)
        except TransfuseError as error:
            (problem,) = error.problems
            message = f"{problem.message} ({problem.where})"
            fault = error.__cause__
            unfit = isinstance(fault, FileProblem) and fault.code is None
            code = ErrorCode.TRANS_004 if unfit else problem.code
            raise NoSuchRelation(key, message, code, problem.remedy) from error

    def _relation(self, pattern: str) -> Relation:
        files = self._files(pattern)
        self._seen[pattern] = _state_of(files)
        names = [file.name for file in files]
        described = describe_files(names, self._columns, pattern, self._address.folder)
        unsure = self._reader.file(names[0]).has_unsure_names
        own = (Column(FILE, TEXT, nullable=False), Column(ROW, BIGINT, nullable=False))
        columns, key = (*unite_columns(described, unsure), *own), (FILE, ROW)
        return Relation("", pattern, KIND, columns, key, (key,), has_unsure_names=unsure)

    def _columns(self, name: str) -> tuple[Column, ...]:
        """The columns of a file. Raises TransfuseError (TRANS-004) where a name stands twice."""
        columns = self._reader.file(name).columns
        names = [column.name for column in columns]
        for repeated in dict.fromkeys(names):
            places = [str(place) for place, other in enumerate(names, 1) if other == repeated]
            if len(places) > 1:
                # Not the name: where the header is missing, it is a value.
                message = f"the columns {' and '.join(places)} have the same name"
                remedy = self._address.format.renaming
                raise TransfuseError(Problem(ErrorCode.TRANS_004, message, name, remedy))
        return columns

    def _files(self, pattern: str) -> list[FileEntry]:
        with report_file_errors(pattern):
            files = self._address.find(pattern)
        if not files:
            message = f"no file in {self._address.folder} matches the pattern"
            remedy = "correct the pattern, or 'path' of the source"
            raise TransfuseError(Problem(ErrorCode.TRANS_004, message, pattern, remedy))
        return files

    def without_checksums(self, pattern: str) -> list[str]:
        """The files in which a bit that has flipped wouldn't be noticed."""
        names = [file.name for file in self._files(pattern)]
        return [name for name in names if not self._has_checksums(name)]

    def _has_checksums(self, name: str) -> bool:
        with report_file_errors(name):
            return self._reader.file(name).has_checksums

    def partitions(self, program: LoadProgram, bounds: PartitionBounds) -> list[Partition]:
        partitions = []
        # What is looked at now is compared later, so a change meanwhile is seen.
        meant = [(relation.name, self._files(relation.name)) for relation in program.relations]
        _refuse_overlap(meant)
        narrow = program.source_bounds(bounds)
        for position, (pattern, files) in enumerate(meant):
            lead = f"{position + 1}-" if len(program.relations) > 1 else ""
            self._states[pattern] = _state_of(files)
            why = _change(self._seen.get(pattern, {}), self._states[pattern])
            if pattern in self._seen and why is not None:
                message = f"{why}, while the run was being planned"
                remedy = "start again when all files are there"
                raise TransfuseError(Problem(ErrorCode.SYS_005, message, pattern, remedy))
            ranges = [r for file in files for r in self._ranges(file, narrow)]
            nothing = FileRange(files[0].name, 0, 0, 1, 0)
            for number, range_ in enumerate(ranges or [nothing], start=1):
                identifier = f"{lead}{number:06d}"
                partitions.append(
                    Partition(program.name, identifier, str(range_), range_.rows, position)
                )
        return partitions

    def _ranges(self, file: FileEntry, bounds: PartitionBounds) -> Iterator[FileRange]:
        opened = self._reader.file(file.name)
        with report_file_errors(file.name):
            for range_ in opened.ranges(file.name, bounds):
                if self._cancelled:
                    raise FileProblem("reading it was cancelled")
                yield replace(range_, size=file.size, written=file.written)

    def state(self, program: LoadProgram, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
        return [
            {
                "rows": sum(p.rows for p in partitions if p.relation == position),
                "files": self._states[relation.name],
            }
            for position, relation in enumerate(program.relations)
        ]

    def difference(self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]) -> str | None:
        for relation, before in zip(program.relations, stored, strict=True):
            files = before.get("files")
            if files is None:
                return f"{relation} was no file then"
            with report_file_errors(relation.name):
                now = _state_of(self._address.find(relation.name))
            why = _change(files, now)
            if why is not None:
                return why
        return None

    def rereading_problem(
        self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]
    ) -> Problem | None:
        # Whatever identifies a row, it is looked for in the part of the file where it stood.
        why = self.difference(program, stored)
        remedy = "remove what is written and start over with the files as they are now"
        return None if why is None else changed_source(program.name, why, remedy)

    def repeated_source_keys(self, program: LoadProgram) -> int:
        if {FILE, ROW} <= set(program.row_key):
            return 0
        program = program.of_rows
        incomplete = 0
        hashes = []
        for keys in self._keys(program):
            given = keys.column("given")
            incomplete += len(keys) - int(pc.sum(given).as_py() or 0)
            hashes.append(keys.filter(given).select(["hash"]))
        # Most hashes are of one key, and only the others are read and compared as they are.
        repeated = repeated_hashes(hashes) if hashes else pa.array([], pa.uint64())
        if not len(repeated):
            return incomplete
        doubtful = [
            having_hash(keys.filter(keys.column("given")), repeated).column("key")
            for keys in self._keys(program)
        ]
        counts = pa.chunked_array(doubtful, pa.string()).value_counts().field("counts")
        return incomplete + int(pc.sum(pc.greater(counts, 1)).as_py() or 0)

    def _keys(self, program: LoadProgram) -> Iterator[pa.RecordBatch]:
        """The source keys of all rows: key (string), hash (uint64), given (bool: no part of it is
        NULL)."""
        for partition in self._reader.all_of(program):
            rows = self._reader.read_stored(program, partition, program.source_key)
            ordinals = pa.array(range(rows.batch.num_rows), pa.int32())
            batch = rows.batch.append_column(ORDINAL, ordinals)
            given = pa.array([True] * batch.num_rows)
            for name in program.source_key:
                given = pc.and_(given, pc.is_valid(batch.column(f"src.{name}")))
            keys = pa.RecordBatch.from_pydict({"key": source_keys(batch, program, "")})
            found = evaluate_each(select(["hash(key) AS hash"]), keys)
            hashes = one_array(found.column("hash"), pa.uint64())
            yield keys.append_column("hash", hashes).append_column("given", given)

    def entered_row(self, program: LoadProgram, row: Mapping[str, Any]) -> SourceRows:
        return SourceRows(entered_file_row(as_candidates(program), row), {})

    def cancel(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        self._reader.close()


def _state_of(files: Sequence[FileEntry]) -> dict[str, list[float]]:
    """Size and time of each file."""
    return {file.name: [file.size, file.written] for file in files}


def _change(before: Mapping[str, list[float]], now: Mapping[str, list[float]]) -> str | None:
    """The first difference between the states of files, in words; None for none."""
    for name in sorted({*before, *now}):
        if name not in now:
            return f"the file {name} is gone"
        if name not in before:
            return f"the file {name} is new"
        if now[name] != before[name]:
            return f"the file {name} was written to"
    return None


def _refuse_overlap(files_by_pattern: Sequence[tuple[str, Sequence[FileEntry]]]) -> None:
    """A file that two patterns of a load mean would be read twice."""
    patterns: dict[str, str] = {}
    for pattern, files in files_by_pattern:
        for file in files:
            if file.name in patterns:
                message = f"it is meant by '{patterns[file.name]}' and by '{pattern}'"
                remedy = "let each file be meant once in 'from'"
                raise TransfuseError(Problem(ErrorCode.SYS_004, message, file.name, remedy))
            patterns[file.name] = pattern
