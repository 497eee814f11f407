"""One source row through the steps of its load, field by field and rule by rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.oracle import translated_codes as codes
from tests.oracle.calendar import DAY
from tests.oracle.rule_meanings import (
    CUTOVER,
    NEED_THE_TIME,
    READY_RULES,
    Read,
    before,
    fiscal_year,
    not_after,
    version_of,
)
from tests.oracle.sql_meanings import TRANSFORMATIONS, Expression, Raised
from tests.oracle.values import BLANKS, TEXT, Type, Value, convert, type_of, written

Spec = Mapping[str, Any]
LookupRow = tuple[str | None, ...]
"""A row of a lookup table: the parts of its key, and last what they stand for."""

VERSION = "FY2018"


@dataclass(frozen=True)
class Violation:
    """``causes`` are the rows (load, source key) that this may follow from; any one is right."""

    code: str
    rule: str
    field: str | None = None
    reason: str | None = None
    warning: bool = False
    causes: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Reference:
    """What became of a reference: the value to write, and the columns it takes.

    ``skip`` where the row goes the way of its skipped parent.
    """

    value: Value
    taken: Mapping[str, Value] = field(default_factory=dict)
    violation: Violation | None = None
    skip: bool = False


Referring = Callable[[str, Value], Reference]
"""(field, the value that refers) -> what became of it."""


@dataclass(frozen=True)
class LoadRules:
    """A load as the oracle needs it: the specification's words and both tables' types.

    ``spec`` is the load as YAML has it, ``maps`` all maps, ``expressions`` by their SQL.
    ``source`` and ``target`` are types by column; ``not_null`` target columns.
    """

    name: str
    spec: Spec
    source: Mapping[str, Type]
    target: Mapping[str, Type]
    not_null: frozenset[str] = frozenset()
    maps: Mapping[str, Spec] = field(default_factory=dict)
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    constants: Mapping[str, Value] = field(default_factory=dict)
    """``started_at`` (timestamptz) and ``job``."""
    site: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    """The site's own decisions: normalised ICD-9-CM code to its targets."""
    code_lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the files of codes hold, by ready rule: sets by name, ``system`` and ``version``."""
    lookups: Mapping[str, Sequence[LookupRow]] = field(default_factory=dict)
    """What the files and queries of maps hold, by the map."""
    keep_blank: bool = False
    by_source_key: frozenset[str] = frozenset()
    """The references whose value is the source key of the parent."""

    @property
    def fields(self) -> dict[str, Spec]:
        copied = {name: {"from": name} for name in self.spec.get("copy", [])}
        return {**copied, **self.spec.get("fields", {})}

    @property
    def gem_field(self) -> str | None:
        for name, one in self.fields.items():
            if "map" in one and is_gem(self.maps[one["map"]]):
                return name
        return None


def is_gem(map_: Spec) -> bool:
    return not {"values", "csv", "query"} & set(map_)


def is_lookup(map_: Spec) -> bool:
    return "csv" in map_ or "query" in map_


@dataclass
class Candidate:
    """A source row and what became of it; ``rows`` has several target rows for a cluster."""

    source: Mapping[str, Value]
    source_key: str
    rows: list[dict[str, Value]] = field(default_factory=list)
    failed: list[set[str]] = field(default_factory=list)
    """For each target row the fields that have no value because they failed."""
    violations: set[Violation] = field(default_factory=set)
    skipped_by: str | None = None
    place: tuple[int, ...] = ()
    """Which relation it was read from, and where it stood there."""
    referred: dict[str, Value] = field(default_factory=dict)
    """What its references said before they were looked up."""
    lost_to: Candidate | None = None

    @property
    def rejected(self) -> bool:
        return self.skipped_by is None and any(not v.warning for v in self.violations)

    @property
    def accepted(self) -> bool:
        return self.skipped_by is None and not self.rejected


class Made(NamedTuple):
    """The key that is made for a source row of a load, whatever it is."""

    load: str
    source_key: str


class Suppressed(Exception):
    """A name stands for a field that failed, so what reads it can't be judged."""


class OneRow:
    """One target row of a candidate while its fields are computed."""

    def __init__(
        self,
        load: LoadRules,
        source: Mapping[str, Value],
        source_key: str,
        translated: codes.Translated | None,
        refer: Referring | None,
    ) -> None:
        self.load, self.source, self.source_key = load, source, source_key
        self.translated = translated
        self.refer = refer
        self.values: dict[str, Value] = {}
        self.failed: set[str] = set()
        self.referred: dict[str, Value] = {}
        self.violations: set[Violation] = set()
        self.skipped_by: str | None = None
        self.more: codes.Answer | None = None

    def run(self) -> None:
        self.skip(late=False)
        for name in self.load.fields:
            self.compute(name)
        self.skip(late=True)
        self.check()

    def compute(self, name: str) -> None:
        """Computes a field with what it adds, once."""
        if name in self.values:
            return
        one = self.load.fields[name]
        self.values[name] = None
        try:
            value = self.steps(name, one)
        except Suppressed:
            self.fail(name, one)
            return
        except Raised:
            self.violate("TRANS-005", f"{name}.sql", name, "raised")
            self.fail(name, one)
            return
        if value is _FAILED:
            self.fail(name, one)
            return
        if value is None and one.get("default") is not None:
            by_source_key = name in self.load.by_source_key
            target = TEXT if by_source_key else self.load.target[name]
            value, reason = convert(one["default"], TEXT, target)
            assert reason is None, "the generated default fits its column"
        if value is None and (one.get("required") or name in self.load.not_null):
            rule = one.get("rule") or f"{name}.required"
            self.violate("DATA-001", rule, name, "missing")
        for column in self.told_by_lookup(one):
            if self.values[column] is None and column in self.load.not_null:
                self.violate("DATA-001", f"{column}.required", column, "missing")
        self.values[name] = value
        if "ref" in one:
            self.reference(name, one, value)

    def steps(self, name: str, one: Spec) -> Value:
        if "generate" in one:
            return Made(self.load.name, self.source_key)
        mapped = self.load.maps[one["map"]] if "map" in one else None
        if mapped is not None and is_lookup(mapped):
            parts = [self.transformed(one, *begun) for begun in self.parts(name, one)]
            found = self.looked_up(name, one, [written(*part) for part in parts])
            value, type_ = self.unless_blank(found), TEXT
        else:
            value, type_ = self.transformed(one, *self.begin(name, one))
            if mapped is not None:
                found = self.mapped(name, one, written(value, type_))
                value, type_ = self.unless_blank(found), TEXT
        if value is _FAILED:
            return _FAILED
        formats = _list(one.get("format"))
        century = one.get("century")
        if century == "past":
            century = f"past:{self.load.constants['started_at']}"
        by_source_key = name in self.load.by_source_key
        wanted = [] if by_source_key else [self.load.target[name]]
        if "type" in one:
            wanted.insert(0, type_of(one["type"]))
        for target in wanted:
            value, reason = convert(value, type_, target, formats, century)
            type_, formats = target, []
            if reason is not None:
                self.violate("DATA-003", f"{name}.type", name, reason)
                return _FAILED
        return written(value, type_) if by_source_key else value

    def transformed(self, one: Spec, value: Value, type_: Type) -> tuple[Value, Type]:
        for step in _list(one.get("transform")):
            if step == "direct":
                continue
            value, type_ = written(value, type_), TEXT
            value = TRANSFORMATIONS[step](value) if value is not None else None
        return self.unless_blank(value), type_

    def unless_blank(self, value: Value) -> Value:
        is_blank = isinstance(value, str) and not value.strip(BLANKS)
        return None if is_blank and not self.load.keep_blank else value

    def parts(self, name: str, one: Spec) -> list[tuple[Value, Type]]:
        """What a field begins with, where it is a key: each of its parts."""
        if "from" not in one:
            return [self.begin(name, one)]
        return [(self.source[c], self.load.source[c]) for c in _list(one["from"])]

    def begin(self, name: str, one: Spec) -> tuple[Value, Type]:
        if "from" in one:
            columns = _list(one["from"])
            if len(columns) > 1:
                texts = [written(self.source[c], self.load.source[c]) for c in columns]
                whole = [text for text in texts if text is not None and text.strip(BLANKS)]
                return (key_text(whole) if len(whole) == len(texts) else None), TEXT
            return self.source[columns[0]], self.load.source[columns[0]]
        if "const" in one:
            return one["const"], TEXT
        if "system" in one:
            if one["system"] == "source_key":
                return self.source_key, TEXT
            if one["system"] == "job":
                return self.load.constants["job"], TEXT
            return self.started_at(self.load.target[name])
        expression = self.load.expressions[one["sql"]]
        return self.evaluate(expression, "src"), expression.template.gives

    def started_at(self, target: Type) -> tuple[Value, Type]:
        """The start of the job, which is in UTC where the column has no zone."""
        moment = self.load.constants["started_at"]
        assert isinstance(moment, int)
        if target.name == "date":
            return moment // DAY, target
        return moment, Type("timestamp" if target.name == "timestamp" else "timestamptz")

    def mapped(self, name: str, one: Spec, text: str | None) -> Value:
        map_ = self.load.maps[one["map"]]
        if is_gem(map_):
            return self.gem(name, one, map_, text)
        if text is None:
            return None
        if text in map_["values"]:
            return map_["values"][text]
        return self.unmapped(name, map_, text)

    def unmapped(self, name: str, map_: Spec, text: str | None) -> Value:
        action = map_.get("on_unmapped", "reject")
        if isinstance(action, dict):
            return action["default"]
        if action == "keep":
            return text
        self.violate("TRANS-002", f"{name}.map", name, "unknown_value", action == "set_null")
        return None if action == "set_null" else _FAILED

    def looked_up(self, name: str, one: Spec, parts: list[str | None]) -> Value:
        """What the key stands for, as far as its chain goes."""
        map_, rows = self.load.maps[one["map"]], self.load.lookups[one["map"]]
        found = [row for row in rows if list(row[:-1]) == parts and None not in parts]
        for column in self.told_by_lookup(one):
            self.values[column] = one["map"] if found else None
        if None in parts:
            return None
        if not found:
            return self.unmapped(name, map_, parts[0])
        value = found[0][-1]
        while map_.get("chain"):
            further = [row[-1] for row in rows if row[0] == value and value is not None]
            if not further or further[0] == value:
                break
            value = further[0]
        return value

    def told_by_lookup(self, one: Spec) -> list[str]:
        """The columns that name the lookup table that a value is of."""
        looked_up = "map" in one and is_lookup(self.load.maps[one["map"]])
        return list(one.get("into", {})) if looked_up else []

    def gem(self, name: str, one: Spec, map_: Spec, text: str | None) -> Value:
        options = {
            "policy": map_.get("policy", {}),
            "notation": map_.get("notation", "as_source"),
            "repair": map_.get("repair"),
        }
        if "coded_in" in one or "coded_on" in one:
            named, dated = self.revision_named(one), self.revision_in_force(one)
            answer = codes.translate_by_system(
                text,
                named,
                dated,
                site=self.load.site,
                outdated=map_.get("outdated", "warn"),
                **options,
            )
        else:
            answer = codes.translate(
                text, site=self.load.site, outdated=map_.get("outdated", "warn"), **options
            )
        for note in answer.notes:
            self.violate("DATA-005", f"{name}.map", name, note, warning=True)
        row = self.translated or answer.rows[0]
        if self.translated is None and len(answer.rows) > 1:
            self.more = answer
        rejected = answer.reason is not None and not answer.warning
        if answer.reason is not None:
            self.violate("TRANS-002", f"{name}.map", name, answer.reason, answer.warning)
        for column, attribute in one.get("into", {}).items():
            value = None if text is None or rejected else _attribute(row, attribute, one["map"])
            if attribute == "cluster_seq":
                value = row.cluster_seq
            self.values[column], reason = convert(value, *_types(attribute, self.load, column))
            assert reason is None
            if rejected:
                self.failed.add(column)
            elif value is None and column in self.load.not_null:
                self.violate("DATA-001", f"{column}.required", column, "missing")
        return _FAILED if rejected else row.target

    def revision_named(self, one: Spec) -> int | None:
        """The revision of the ICD that the row names: None where none, 0 where another system."""
        if "coded_in" not in one:
            return None
        told = self.read_typed(one["coded_in"], "src")
        text = (told.text or "").strip(BLANKS) if told is not None else ""
        return (version_of(Read(text, TEXT)) or 0) if text else None

    def revision_in_force(self, one: Spec) -> int | None:
        if "coded_on" not in one:
            return None
        date = self.read_typed(one["coded_on"], "src")
        assert date is not None
        if before(date, CUTOVER) is False:
            return fiscal_year(date)
        return 9 if not_after(CUTOVER, date) is False else None

    def reference(self, name: str, one: Spec, value: Value) -> None:
        if self.refer is None or one.get("deferred"):
            return
        self.referred[name] = value
        found = self.refer(name, value)
        self.values[name] = found.value
        self.values.update(found.taken)
        if found.violation is not None:
            self.violations.add(found.violation)
            if not found.violation.warning:
                self.failed |= {name, *found.taken}
        if found.skip and self.skipped_by is None:
            self.skipped_by = f"{name}.ref"

    def skip(self, late: bool) -> None:
        """Skips that read source columns alone come before the references, the others after."""
        for label, sql in self.load.spec.get("skip", {}).items():
            expression = self.load.expressions[sql]
            if self.skipped_by is not None or bool(self.fields_of(expression, "src")) != late:
                continue
            try:
                if self.evaluate(expression, "src"):
                    self.skipped_by = label
            except Suppressed:
                pass
            except Raised:
                self.violate("TRANS-005", label, None, "raised")

    def check(self) -> None:
        for label, rule in self.load.spec.get("rules", {}).items():
            rule = {"check": rule} if isinstance(rule, str) else rule
            if "use" in rule:
                self.check_ready(label, rule)
                continue
            expression = self.load.expressions[rule["check"]]
            read = self.fields_of(expression, "out")
            only = read[0] if len(read) == 1 else None
            try:
                if self.evaluate(expression, "out") is False:
                    code, warning = rule.get("error", "DATA-001"), rule.get("on_fail") == "warn"
                    self.violate(code, label, only, None, warning)
            except Suppressed:
                pass
            except Raised:
                self.violate("TRANS-005", label, only, "raised")

    def check_ready(self, label: str, rule: Spec) -> None:
        ready = READY_RULES[rule["use"]]
        names = ready.names(rule, self.load.target)
        out = {n.rpartition(".")[2] for n in names.values() if n and not n.startswith("src.")}
        fields_read = [name for name in out if name in self.load.target]
        more: dict[str, Any] = {}
        if rule["use"] in NEED_THE_TIME:
            more["started_at"] = Read(self.load.constants["started_at"], Type("timestamptz"))
        if rule["use"] in self.load.code_lists:
            more["lists"] = self.load.code_lists[rule["use"]]
        try:
            read = {parameter: self.read_typed(name) for parameter, name in names.items()}
        except Suppressed:
            return
        if ready.holds(rule, read, **more) is False:
            only = fields_read[0] if len(fields_read) == 1 else None
            warning = ready.warns if "on_fail" not in rule else rule["on_fail"] == "warn"
            self.violate(rule.get("error", ready.code), label, only, None, warning)

    def read_typed(self, name: str | None, bare: str = "out") -> Read | None:
        """A field with its type; a code system may be given for all rows, as 9 or 10."""
        if name is None:
            return None
        if name in ("9", "10"):
            return Read(name, TEXT)
        column = name.rpartition(".")[2]
        where = name.rpartition(".")[0] or bare
        types = self.load.source if where == "src" else self.load.target
        return Read(self.read(name, bare), types[column])

    def fields_of(self, expression: Expression, bare: str) -> list[str]:
        """The target fields that an expression reads."""
        split = [name.rpartition(".") for name in expression.names]
        read = [column for where, _, column in split if (where or bare) == "out"]
        return [c for c in dict.fromkeys(read) if c in self.load.target]

    def evaluate(self, expression: Expression, bare: str) -> Value:
        return expression.evaluate({name: self.read(name, bare) for name in expression.names})

    def read(self, name: str, bare: str) -> Value:
        where, _, column = name.rpartition(".")
        if (where or bare) == "src":
            return self.source[column]
        if column in self.load.constants and column not in self.load.fields:
            return self.load.constants[column]
        for field_name, one in self.load.fields.items():
            if column == field_name or column in {**one.get("into", {}), **one.get("take", {})}:
                self.compute(field_name)
        if column in self.failed:
            raise Suppressed
        return self.values[column]

    def violate(
        self, code: str, rule: str, field_: str | None, reason: str | None, warning: bool = False
    ) -> None:
        self.violations.add(Violation(code, rule, field_, reason, warning))

    def fail(self, name: str, one: Spec) -> None:
        self.values[name] = None
        self.failed.add(name)
        for column in one.get("into", {}):
            # What the map said stays, although the code itself doesn't fit its column.
            if column not in self.values or column in self.told_by_lookup(one):
                self.values[column] = None
                self.failed.add(column)
        for column in one.get("take", {}):
            self.values.setdefault(column, None)


_FAILED = object()


def run_row(
    load: LoadRules,
    source: Mapping[str, Value],
    source_key: str,
    refer: Referring | None = None,
) -> Candidate:
    """What becomes of a source row as far as itself and its parents decide it."""
    candidate = Candidate(source, source_key)
    first = OneRow(load, source, source_key, None, refer)
    first.run()
    rows = [first]
    if first.more is not None:
        rows = []
        for translated in first.more.rows:
            rows.append(OneRow(load, source, source_key, translated, refer))
            rows[-1].run()
    for row in rows:
        candidate.skipped_by = candidate.skipped_by or row.skipped_by
        candidate.violations |= row.violations
        candidate.rows.append(row.values)
        candidate.failed.append(row.failed)
        candidate.referred.update(row.referred)
    if candidate.skipped_by is not None:
        candidate.violations = set()
    return candidate


def key_text(parts: list[str]) -> str:
    """A key of one or several columns as one text."""
    if len(parts) == 1:
        return parts[0]
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _list(value: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _attribute(row: codes.Translated, attribute: str, map_name: str) -> Value:
    sha256 = codes.packaged_map()[1]
    by_map = {
        "map": f"{map_name}/{VERSION}/sha256:{sha256[:12]}",
        "map_name": map_name,
        "map_version": VERSION,
        "map_sha256": sha256,
    }
    if attribute in by_map:
        others = {"site": "code_mappings", "same": "same"}
        return others.get(row.category or "", by_map[attribute])
    return {
        "category": row.category,
        "cluster_seq": row.cluster_seq,
        "flags": row.flags,
        "groups": row.groups,
        "source_code": row.source_code,
    }[attribute]


def _types(attribute: str, load: LoadRules, column: str) -> tuple[Type, Type]:
    return (Type("int4") if attribute == "cluster_seq" else TEXT), load.target[column]
