"""Compiles a load: specification against the catalogues of source and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as attribute

from schemas.catalog import Column, Relation
from schemas.column_types import ColumnType
from schemas.errors import ErrorCode, Problem
from schemas.expressions import ExpressionError, literal, parse_expression
from schemas.specification.load_order import parents_of
from schemas.specification.root import Specification
from schemas.specification.table import Load
from schemas.transformations import is_python_function
from schemas.violations import ORDINAL
from transforms.mapping.compile_field import FieldCompiler, Unfit
from transforms.mapping.program import (
    BoundExpression,
    DuplicatesProgram,
    FieldProgram,
    GeneratedKey,
    LoadProgram,
    RuleProgram,
    SkipProgram,
    Stage,
)
from transforms.mapping.python_functions import find_function, use_python_path
from transforms.mapping.scope import Scope, UnknownName


@dataclass(frozen=True)
class LoadCatalog:
    """What the databases say about one load: what it reads, and what it writes to."""

    source: str
    relations: tuple[Relation, ...]
    table: Relation


@dataclass
class LoadCompiler:
    """Compiles the load ``name``; what doesn't fit is collected in ``problems``.

    Problems are TRANS-001 (a name that isn't there), TRANS-004 (a schema that doesn't fit)
    and SYS-004 (an expression that can't be used), each with its place in the specification.
    """

    specification: Specification
    name: str
    catalogs: Mapping[str, LoadCatalog]
    constants: Mapping[str, str]
    python_path: str = ""
    problems: list[Problem] = attribute(default_factory=list)

    def compile(self) -> LoadProgram | None:
        """The program, or None where there are problems."""
        self._read: dict[str, None] = {}
        self._untaken: set[str] = set()
        self._check_relations()
        self._relations = _united(self._catalog.relations)
        types = self._target_types()
        computed = {n: t for n, t in types.items() if not self._is_made_later(n)}
        scope = Scope(self._source, computed, self._taken(), self.constants, self._read)
        fields = self._fields(scope, types)
        skips = self._skips(scope)
        rules = self._rules(scope)
        duplicates = self._duplicates(scope)
        source_key = self._source_key(scope)
        if self._load.partition is not None:
            for position, column in enumerate(self._load.partition):
                self._named(scope, column, "partition", position)
        generated = self._generated(types)
        self._check_given(types, fields)
        self._check_read()
        self._check_functions()
        if self.problems:
            return None
        return LoadProgram(
            name=self.name,
            source=self._catalog.source,
            relations=self._relations,
            columns=tuple(self._read),
            with_ctid=not source_key
            and len(self._relations) == 1
            and self._source.has_physical_ranges,
            source_key=source_key,
            partition_by=None
            if self._load.partition is None
            else tuple(self._source_name(c) for c in self._load.partition),
            table=self._table,
            key=tuple(self._load.key),
            write=self._load.write,
            fields=fields,
            generated=generated,
            skips=skips,
            rules=rules,
            duplicates=duplicates,
            finds_duplicates=self._may_have_duplicates(fields, generated),
            with_keys=generated is not None or self._is_referenced_by_several_columns(),
            with_skips=bool(skips or self._has_skipping_references() or self._skips_otherwise())
            and self._is_referenced(),
            referenced=self._is_referenced() or any(f.deferred for f in self._load.fields.values()),
            python_path=self.python_path,
        )

    # -- what the specification and the catalogues say ------------------------------------------

    @property
    def _load(self) -> Load:
        return self.specification.tables[self.name]

    @property
    def _catalog(self) -> LoadCatalog:
        return self.catalogs[self.name]

    @property
    def _source(self) -> Relation:
        return self._relations[0]

    @property
    def _table(self) -> Relation:
        return self._catalog.table

    def _source_name(self, name: str) -> str:
        column = self._source.column(name)
        return name if column is None else column.name

    def _check_relations(self) -> None:
        if self._table.kind not in ("r", "p", "f"):
            self._problem(
                f"{self._table} is a view, and rows are written to tables",
                *(("into",) if self._load.into else ()),
                remedy="name the table behind it with 'into'",
            )
        first = self._catalog.relations[0]
        for position, other in enumerate(self._catalog.relations[1:], start=1):
            for column in first.columns:
                same = other.column(column.name)
                if same is not None and same.type.name != column.type.name:
                    self._problem(
                        f"'{column.name}' is {column.type} in {first} and {same.type} in {other}",
                        "from",
                        position,
                        remedy="cast it in a query",
                    )

    def _check_read(self) -> None:
        """Every relation of the load has each column that is read of the first, and has it once."""
        several = len(self._relations) > 1
        for position, relation in enumerate(self._relations):
            names = [column.name for column in relation.columns]
            for name in self._read:
                if names.count(name) == 1:
                    continue
                told = "has several columns" if name in names else "has no column"
                self._problem(
                    f"{relation} {told} '{name}'",
                    "from",
                    *((position,) if several else ()),
                    code=ErrorCode.TRANS_001,
                    remedy=_known(relation.columns),
                )

    def _target_types(self) -> dict[str, ColumnType]:
        """The types of the target fields, as far as they have a column there."""
        types: dict[str, ColumnType] = {}
        written: list[tuple[str, tuple[str | int, ...]]] = [
            (name, ("copy", position)) for position, name in enumerate(self._load.copy_)
        ]
        for name, field in self._load.fields.items():
            written.append((name, ("fields", name)))
            written += [(column, ("fields", name, "into", column)) for column in field.into]
        for name, below in written:
            column = self._table.column(name)
            if column is None or column.name != name:
                self._problem(
                    f"the target table {self._table} has no column '{name}'",
                    *below,
                    remedy=_known(self._table.columns),
                )
            elif column.generated:
                self._problem(f"the target computes the column '{name}' itself", *below)
            elif name == ORDINAL:
                self._problem(f"a column of the name '{name}' can't be written", *below)
            else:
                types[name] = column.type
        return types

    def _taken(self) -> dict[str, ColumnType]:
        taken: dict[str, ColumnType] = {}
        for name, field in self._load.fields.items():
            for alias, column_name in field.take.items():
                table = self._parent_table(field.ref or "")
                if table is None:
                    self._untaken.add(alias)
                    continue
                column = table.column(column_name)
                if column is None:
                    self._untaken.add(alias)
                    self._problem(
                        f"the parent's table has no column '{column_name}'",
                        "fields",
                        name,
                        "take",
                        alias,
                        code=ErrorCode.TRANS_001,
                        remedy=_known(table.columns),
                    )
                elif alias in self._load.fields or alias in self._load.copy_:
                    self._problem(
                        f"'{alias}' is also a field of this load",
                        "fields",
                        name,
                        "take",
                        alias,
                        code=ErrorCode.SYS_004,
                        remedy="take it under another name",
                    )
                else:
                    taken[alias] = column.type
        return taken

    def _parent_table(self, reference: str) -> Relation | None:
        parents = parents_of(self.specification, reference)
        known = [self.catalogs[p].table for p in parents if p in self.catalogs]
        return known[0] if known else None

    # -- fields --------------------------------------------------------------------------------

    def _fields(self, scope: Scope, types: dict[str, ColumnType]) -> tuple[FieldProgram, ...]:
        compiler = FieldCompiler(self.specification, self.name, self.catalogs, scope)
        found: list[FieldProgram] = []
        for position, name in enumerate(self._load.copy_):
            if name in types:
                try:
                    found.append(compiler.copied(name, self._table.column(name)))
                except Unfit as unfit:
                    self._unfit(unfit, "copy", position)
        for name, field in self._load.fields.items():
            if field.generate is not None or name not in types:
                continue
            if field.ref is not None and self._parent_table(field.ref) is None:
                continue
            if field.sql is not None and self._reads_untaken(field.sql):
                continue
            try:
                column = self._table.column(name)
                assert column is not None
                found.append(compiler.computed(name, field, column, types))
            except Unfit as unfit:
                self._unfit(unfit, "fields", name)
        return self._staged(found)

    def _staged(self, fields: Sequence[FieldProgram]) -> tuple[FieldProgram, ...]:
        """Settles in which stage each field is computed; a circle of fields is a problem."""
        late = {f.name for f in fields if f.reference is not None or '"take.' in f.value.sql}
        grown = True
        while grown:
            more = {f.name for f in fields if late & set(f.value.fields)} - late
            late, grown = late | more, bool(more)
        staged = []
        for field in fields:
            if field.reference is None and field.name in late:
                stage = Stage.AFTER_REFERENCES
            elif field.value.fields:
                stage = Stage.DERIVE
            else:
                stage = Stage.TRANSLATE if field.gem is not None else Stage.MAP
            if field.reference is not None and late & set(field.value.fields):
                self._problem(
                    "a reference can't be computed from another reference",
                    "fields",
                    field.name,
                    code=ErrorCode.SYS_004,
                )
            staged.append(FieldProgram(**{**vars(field), "stage": stage}))
        for circle in _circles(fields):
            self._problem(
                f"the fields read each other in a circle: {' -> '.join(circle)}",
                "fields",
                circle[0],
                code=ErrorCode.SYS_004,
            )
        return tuple(staged)

    def _generated(self, types: dict[str, ColumnType]) -> GeneratedKey | None:
        named = [(n, f.generate) for n, f in self._load.fields.items() if f.generate is not None]
        if len(named) > 1:
            self._problem("only one field can be generated", "fields", named[1][0])
        for name, kind in named:
            if name not in types or kind is None:
                continue
            target = types[name]
            fitting = (
                target.is_integer or target.name == "numeric"
                if kind == "sequence"
                else target.name == "uuid" or target.is_textual
            )
            if not fitting:
                self._problem(f"{target} can't hold a generated {kind}", "fields", name)
            column = self._table.column(name)
            return GeneratedKey(name, kind, target, column.sequence if column else None)
        return None

    def _is_made_later(self, name: str) -> bool:
        """Whether a field has no value yet when expressions are evaluated."""
        field = self._load.fields.get(name)
        if field is None:
            return False
        if field.generate is not None:
            return True
        # A deferred reference by source key gets its value in the second pass.
        generated = any(
            self._load.fields[c].generate for c in self._load.key if c in self._load.fields
        )
        return field.deferred and (generated or len(field.from_ or ()) > 1)

    def _check_given(self, types: dict[str, ColumnType], fields: Sequence[FieldProgram]) -> None:
        for column in self._table.columns:
            if column.must_be_given and column.name not in types:
                self._problem(
                    f"the target column '{column.name}' is NOT NULL, has no default, and no "
                    "field fills it",
                    "fields",
                    remedy=f"add '{column.name}' to 'fields'",
                )
        for field in fields:
            written = self._table.column(field.name)
            if field.reference is not None and written is not None and not written.nullable:
                if field.reference.deferred:
                    self._problem(
                        "a deferred reference is NULL at first, and this column is NOT NULL",
                        "fields",
                        field.name,
                        remedy="let the column be NULL in the target",
                    )
                elif field.reference.on_missing == "set_null":
                    self._problem(
                        "'on_missing: set_null' needs a column that may be NULL",
                        "fields",
                        field.name,
                        "on_missing",
                        remedy="choose reject or placeholder",
                    )
        if self._load.write == "upsert" and set(self._load.key) not in [
            set(key) for key in self._table.unique_keys
        ]:
            self._problem(
                f"upsert needs a unique key on ({', '.join(self._load.key)}) in the target",
                "write",
                remedy="add the constraint, or write: insert",
            )

    def _check_functions(self) -> None:
        use_python_path(self.python_path)
        for name, field in self._load.fields.items():
            for position, step in enumerate(field.transform):
                if not is_python_function(step):
                    continue
                try:
                    find_function(step)
                except ValueError as error:
                    self._problem(
                        str(error),
                        "fields",
                        name,
                        "transform",
                        position,
                        code=ErrorCode.SYS_004,
                        remedy="mend the name, or put the module beside the specification",
                    )

    # -- rows ----------------------------------------------------------------------------------

    def _skips(self, scope: Scope) -> tuple[SkipProgram, ...]:
        found = []
        for name, condition in self._load.skip.items():
            bound = self._condition(scope, condition, "src", "skip", name)
            if bound is not None:
                late = '"out.' in bound.sql or '"take.' in bound.sql
                found.append(SkipProgram(name, bound, late))
        return tuple(sorted(found, key=lambda s: s.late))

    def _rules(self, scope: Scope) -> tuple[RuleProgram, ...]:
        found = []
        for name, rule in self._load.rules.items():
            bound = self._condition(scope, rule.check or "true", "out", "rules", name, "check")
            if bound is not None:
                found.append(RuleProgram(name, bound, rule.error, rule.on_fail == "warn"))
        return tuple(found)

    def _condition(
        self, scope: Scope, text: str, default: str, *below: str | int
    ) -> BoundExpression | None:
        if self._reads_untaken(text):
            return None
        try:
            bound, described = scope.bind(text, default)
        except ExpressionError as error:
            code = ErrorCode.TRANS_001 if isinstance(error, UnknownName) else ErrorCode.SYS_004
            self._problem(str(error), *below, code=code, remedy="mend the expression")
            return None
        if described not in ("BOOLEAN", '"NULL"'):
            self._problem(
                f"this gives {described}, not true or false",
                *below,
                code=ErrorCode.SYS_004,
                remedy="write a condition",
            )
        return bound

    def _reads_untaken(self, text: str) -> bool:
        """Whether it reads what a parent should have given, which is a problem already."""
        return any(name[-1] in self._untaken for name in parse_expression(text).names)

    def _duplicates(self, scope: Scope) -> DuplicatesProgram:
        wanted = self._load.duplicates
        order = []
        for position, text in enumerate(wanted.order):
            for default in ("src", "out"):
                try:
                    order.append(scope.bind(text, default)[0])
                    break
                except UnknownName as error:
                    if default == "out":
                        self._problem(
                            str(error), "duplicates", "order", position, code=ErrorCode.TRANS_001
                        )
                except ExpressionError as error:
                    self._problem(
                        str(error), "duplicates", "order", position, code=ErrorCode.SYS_004
                    )
                    break
        return DuplicatesProgram(wanted.keep, tuple(order), wanted.losers)

    def _source_key(self, scope: Scope) -> tuple[str, ...]:
        named = self._load.source_key
        if named is not None:
            return tuple(
                n for i, c in enumerate(named) if (n := self._named(scope, c, "source_key", i))
            )
        keys = {relation.primary_key for relation in self._catalog.relations}
        if len(keys) == 1 and self._source.primary_key:
            return tuple(self._named(scope, c, "source_key") for c in self._source.primary_key)
        return ()

    def _named(self, scope: Scope, name: str, *below: str | int) -> str:
        try:
            column, _ = scope.source_column(name)
        except UnknownName as error:
            self._problem(
                str(error), *below, code=ErrorCode.TRANS_001, remedy=_known(self._source.columns)
            )
            return ""
        return column.removeprefix("src.")

    def _may_have_duplicates(
        self, fields: Sequence[FieldProgram], generated: GeneratedKey | None
    ) -> bool:
        """Whether two candidates can have one key: not where it is a unique key of the source."""
        if not self._load.key:
            return False
        if generated is not None and generated.name in self._load.key:
            return False
        if len(self._catalog.relations) > 1:
            return True
        by_name = {f.name: f for f in fields}
        straight = set()
        for column in self._load.key:
            field = by_name.get(column)
            if field is None:
                continue
            origin = field.value.sql.removeprefix('"src.').removesuffix('"')
            known = self._source.column(origin)
            if (
                known is not None
                and not field.transforms
                and field.values is None
                and field.gem is None
                and not (field.reference and field.reference.by_source_key)
                and _injective(known.type, field.target)
            ):
                straight.add(known.name)
        return not any(set(key) <= straight for key in self._source.unique_keys)

    def _is_referenced(self) -> bool:
        return any(self.name in parents for parents, _ in self._references())

    def _is_referenced_by_several_columns(self) -> bool:
        return any(self.name in parents and several for parents, several in self._references())

    def _has_skipping_references(self) -> bool:
        return any(f.ref is not None for f in self._load.fields.values())

    def _skips_otherwise(self) -> bool:
        return self._load.duplicates.losers == "skip" or self._load.write == "skip_existing"

    def _references(self) -> list[tuple[list[str], bool]]:
        return [
            (parents_of(self.specification, field.ref), len(field.from_ or ()) > 1)
            for load in self.specification.tables.values()
            for field in load.fields.values()
            if field.ref is not None
        ]

    def _unfit(self, unfit: Unfit, *place: str | int) -> None:
        below = (*place, *unfit.below)
        self._problem(unfit.message, *below, code=unfit.code, remedy=unfit.remedy)

    def _problem(
        self,
        message: str,
        *below: str | int,
        code: ErrorCode = ErrorCode.TRANS_004,
        remedy: str = "",
    ) -> None:
        self.problems.append(self._load.problem(message, *below, code=code, remedy=remedy))


def _united(relations: Sequence[Relation]) -> tuple[Relation, ...]:
    """The relations of a load with one type for each column that they share.

    Where lengths or precisions differ it is the type without any, so that every value is
    held against the target's.
    """
    if len(relations) == 1:
        return tuple(relations)
    shared: dict[str, ColumnType] = {}
    for relation in relations:
        for column in relation.columns:
            known = shared.setdefault(column.name, column.type)
            if known != column.type and known.name == column.type.name:
                shared[column.name] = ColumnType(known.name, known.name)
    return tuple(
        replace(
            relation,
            columns=tuple(
                replace(c, type=shared[c.name]) if shared[c.name].name == c.type.name else c
                for c in relation.columns
            ),
            _by_name={},
        )
        for relation in relations
    )


def _known(columns: Sequence[Column]) -> str:
    return f"it has: {', '.join(c.name for c in columns)}"


def _injective(source: ColumnType, target: ColumnType) -> bool:
    """Whether two distinct values of the source stay distinct after a strict conversion."""
    if source.is_integer and (target.is_integer or target.name in ("numeric", "text", "varchar")):
        return True
    return source.name == target.name and source.name in ("text", "varchar", "uuid", "date")


def _circles(fields: Sequence[FieldProgram]) -> list[list[str]]:
    reads = {f.name: [n for n in f.value.fields if n != f.name] for f in fields}
    itself = [[f.name, f.name] for f in fields if f.name in f.value.fields]
    waiting = dict(reads)
    while True:
        ready = [n for n, r in waiting.items() if not set(r) & set(waiting)]
        if not ready:
            break
        for name in ready:
            del waiting[name]
    return itself + ([[*waiting, next(iter(waiting))]] if waiting else [])


def sql_constants(job: str, started_at: str) -> dict[str, str]:
    """The system names of a run as SQL: the start (ISO 8601 with zone) and the job's name."""
    return {
        "started_at": f"CAST({literal(started_at)} AS TIMESTAMP WITH TIME ZONE)",
        "job": literal(job),
    }
