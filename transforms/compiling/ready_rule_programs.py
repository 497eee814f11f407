"""Compiles a ready rule: its parameters held against the fields of the load, and written as SQL."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.column_types import TEXT
from schemas.errors import ErrorCode, TransfuseError
from schemas.ready_rules.operands import ListedCodes, Operand
from schemas.ready_rules.parameters import FieldParameter, FieldsParameter, FileParameter
from schemas.ready_rules.rule import Grouped, ReadyRule
from schemas.sql.expressions import literal, quote
from transforms.compiling.load_facts import LoadFacts
from transforms.compiling.scope import LISTED, Scope, UnknownName, parts_of
from transforms.compiling.source_codes import SourceSystem, source_system
from transforms.model.row_conditions import Membership


@dataclass(frozen=True)
class WrittenOut:
    """A ready rule as an expression, or as what several rows are compared by, and the lists of
    codes that it asks."""

    sql: str | Grouped
    memberships: tuple[Membership, ...]


def write_out(
    facts: LoadFacts,
    scope: Scope,
    untaken: Collection[str],
    folder: Path,
    label: str,
    ready: ReadyRule,
) -> WrittenOut | None:
    """The rule ``label`` of a load as an expression over its fields.

    ``untaken`` are columns of parents that aren't there, ``folder`` is where files lie. None
    where the rule reads any of the former, or where problems are noted: TRANS-001 for a field
    that isn't there, TRANS-004 for one of another type, SYS-004 for a file that can't be used.
    """
    compiler = _Compiler(facts, scope, folder, label, ready.name)
    written = facts.load.rules[label].parameters
    values, problems = ready.read(written)
    if problems:
        return None
    fields = [p for p in ready.parameters if isinstance(p, FieldParameter)]
    lists = [p for p in ready.parameters if isinstance(p, FieldsParameter)]
    named = [str(values[p.name]) for p in fields] + [n for p in lists for n in values[p.name]]
    if untaken and any(name.split(".")[-1] in untaken for name in named):
        return None
    operands = dict(values)
    for several in lists:
        one = FieldParameter(several.name, several.family, several.meaning)
        names = values[several.name]
        operands[several.name] = [compiler.operand(one, name, False) for name in names]
    code = values.get("code")
    system = None
    if "system" in values and "system" not in written and isinstance(code, str):
        system = source_system(facts, folder, code)
    for parameter in fields:
        name = values[parameter.name]
        if parameter.name == "system" and system is not None:
            operands["system"] = compiler.system_operand(parameter, str(code), system)
            continue
        left_out = ready.leaves_out(parameter, written)
        operands[parameter.name] = compiler.operand(parameter, name, left_out)
    if compiler.failed:
        return None
    for listing in [p for p in ready.parameters if isinstance(p, FileParameter)]:
        file, about = values[listing.name], values[listing.about]
        operands[listing.name] = compiler.code_lists(listing, file, about)
        compiler.refuse_other_system(listing, operands, values)
    if compiler.failed:
        return None
    return WrittenOut(ready.condition(**operands), tuple(compiler.memberships))


@dataclass
class _Compiler:
    """Turns the parameters of a rule into the operands of its SQL, and notes problems."""

    facts: LoadFacts
    scope: Scope
    folder: Path
    label: str
    use: str
    memberships: list[Membership] = field(default_factory=list)
    failed: bool = False

    def operand(
        self, parameter: FieldParameter, written: str | None, left_out: bool
    ) -> Operand | None:
        """The field of that name; None where there is none, and needn't be."""
        if written is None:
            return None
        if written in parameter.constants:
            return Operand(literal(written), TEXT)
        name = parts_of(written)
        try:
            _, kind = self.scope.resolve(name, "out")
        except UnknownName as error:
            if not left_out:
                self._unknown(parameter, written, str(error))
            return None
        if not parameter.family.takes(kind):
            self._problem(
                f"'{written}' is {kind}, and '{self.use}' takes {parameter.family.value} here",
                parameter.name,
                code=ErrorCode.TRANS_004,
                remedy=f"name such a field: {parameter.meaning}",
            )
        return Operand(".".join(map(quote, name)), kind)

    def system_operand(
        self, parameter: FieldParameter, code: str, system: SourceSystem
    ) -> Operand | None:
        """The system of ``code``, a column of the source that a map translates."""
        if system.named is not None:
            return self.operand(parameter, system.named, False)
        if not system.is_dated:
            return Operand(literal(str(system.revision)), TEXT)
        self._problem(
            f"'{code}' holds codes of both systems, by their date, and '{self.use}' needs to know"
            " the system of each",
            remedy="write system: NAME for the column that names it, or 9 or 10 for all rows",
        )
        return None

    def refuse_other_system(
        self, listing: FileParameter, operands: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        """Notes a problem where all codes are of one system and the lists of the other: the rule
        would never find anything."""
        system, lists = operands.get("system"), operands.get(listing.name)
        if system is None or lists is None or system.sql not in ("'9'", "'10'"):
            return
        if system.sql != literal(str(lists.system)):
            self._problem(
                f"the lists are of ICD-{lists.system}, and '{values[listing.about]}' holds codes"
                f" of ICD-{system.sql.strip(chr(39))}",
                listing.name,
                remedy="name the file of the editor's version for these codes, or another 'code'",
            )

    def code_lists(
        self, parameter: FileParameter, written: str | None, about: str
    ) -> ListedCodes | None:
        """The lists of a file; each is a column that says whether the field ``about`` is in it."""
        try:
            if written is None:
                assert parameter.packaged is not None
                file = parameter.packaged()
            else:
                file = parameter.read_file(self.folder / written)
        except TransfuseError as error:
            for problem in error.problems:
                message = f"{problem.message} ({problem.where})"
                self._problem(message, parameter.name, remedy=problem.remedy)
            return None
        column, _ = self.scope.resolve(parts_of(about), "out")
        contains = {}
        for wanted in parameter.lists:
            if wanted not in file.lists:
                self._problem(f"the file has no list '{wanted}'", parameter.name)
                continue
            membership = Membership(
                f"{LISTED}.{column}.{wanted}.{file.sha256[:16]}",
                column,
                file.sha256,
                pa.array(file.lists[wanted], pa.string()),
            )
            self.memberships.append(membership)
            contains[wanted] = f"{LISTED}.{quote(membership.name)}"
        return ListedCodes(contains, file.system, file.version)

    def _unknown(self, parameter: FieldParameter, written: str, message: str) -> None:
        existing = [*self.scope.fields, *self.scope.taken]
        close = difflib.get_close_matches(written, existing, 1)
        remedy = (
            f"write {parameter.name}: NAME, {parameter.meaning}; there are: {', '.join(existing)}"
        )
        if close:
            remedy = f"did you mean '{close[0]}'?"
        self._problem(message, parameter.name, code=ErrorCode.TRANS_001, remedy=remedy)

    def _problem(
        self, message: str, *below: str, code: ErrorCode = ErrorCode.SYS_004, remedy: str = ""
    ) -> None:
        self.failed = True
        self.facts.problem(message, "rules", self.label, *below, code=code, remedy=remedy)
