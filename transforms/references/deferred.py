"""References of a table to itself, settled when all of its rows are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg import sql

from schemas.errors import ErrorCode
from schemas.specification.policies import OnMissing, OnSkipped, WriteMode
from schemas.violations import Violation
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.field_program import FieldProgram
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram
from transforms.references.deferred_update import fill_in
from transforms.references.open_references import OpenReferences, verbatim


class DeferredReferences:
    """The stored references of a load to its own table; all of it in the caller's transaction.

    Rows whose reference doesn't hold are treated as the field's ``on_missing`` and
    ``on_skipped`` say, and those that the target refuses with it are rejected. Taking one out
    of the target can orphan others by any of the fields, so that is repeated until nothing
    changes. Rows that had been rejected before are checked as well.

    What is skipped is settled first: it depends on skipped parents alone, and a row of which
    a parent was skipped is skipped whatever else is wrong with it.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        program: LoadProgram,
        fields: Sequence[FieldProgram],
    ) -> None:
        self.program = program
        self.fields = [(f, f.reference) for f in fields if f.reference is not None]
        self.open = OpenReferences(ledger, program)

    def settle(self) -> None:
        """Fills in the references that hold, and deals with those that don't."""
        self._settle_orphans()
        while refused := fill_in(self.open, [field for field, _ in self.fields]):
            for violation, ordinals in refused:
                self._refuse(violation, ordinals)
            self._settle_orphans()
        for field, reference in self.fields:
            if reference.on_missing is OnMissing.SET_NULL:
                condition = "o.field = %(field)s AND o.parent IS NULL"
                violation = _missing(field, "set_null", warning=True)
                self.open.record(violation, condition, {"field": field.name})
        self.open.close()

    def _settle_orphans(self) -> None:
        """Deals with references that don't hold, and looks up the parents of those that do."""
        skipping = [f for f in self.fields if f[1].on_skipped is OnSkipped.SKIP]
        while sum(self._skip(*field) for field in skipping):
            pass
        while sum(self._reject(*field) for field in self.fields):
            pass
        for field, reference in self.fields:
            self._look_up(field, reference)
            if reference.on_missing is OnMissing.ALLOW and not reference.by_source_key:
                self.open.execute(
                    "UPDATE {open} SET parent = reference WHERE field = %(field)s",
                    {"field": field.name},
                )

    # -- parents ---------------------------------------------------------------------------------

    def _look_up(self, field: FieldProgram, reference: Reference) -> None:
        """Finds the parents of a field's references, and which of the absent ones were skipped.

        A key that one candidate was skipped with and another rejected belongs to the rejected
        one, which names the cause.
        """
        self.open.execute(
            "UPDATE {open} o SET parent = {parent} WHERE o.field = %(field)s",
            {"field": field.name},
            parent=self._parent(reference),
        )
        if reference.on_skipped is OnSkipped.AS_MISSING:
            return
        self.open.execute(
            "UPDATE {open} o SET skipped = EXISTS (SELECT FROM {skipped} s"
            "  WHERE s.job_id = %(job)s AND s.load = ANY(%(parents)s) AND s.{by} = o.reference)"
            " AND NOT EXISTS (SELECT FROM {errors} x WHERE {rejected})"
            " WHERE o.field = %(field)s AND o.parent IS NULL",
            {"field": field.name, "parents": list(reference.parents)},
            by=_by(reference),
            rejected=self._rejected_parent(reference),
        )

    def _parent(self, reference: Reference) -> sql.Composable:
        """SQL for the parent's key as text, NULL where it isn't in the target."""
        if reference.by_source_key:
            # A child of a rejected row must not go to another with the same source key.
            shared = (
                self._rejected_parent(reference)
                if reference.shares_source_keys
                else sql.SQL("false")
            )
            return sql.SQL(
                "(SELECT CASE WHEN min(k.target_key) = max(k.target_key)"
                " AND NOT EXISTS (SELECT FROM {errors} x WHERE {shared})"
                " THEN min(k.target_key) END FROM {keys} k WHERE k.job_id = %(job)s"
                " AND k.load = ANY({parents}) AND k.source_key = o.reference)"
            ).format(
                **self.open.parts,
                parents=_texts(reference.parents),
                shared=shared,
            )
        column = self.program.table.column(reference.column)
        assert column is not None
        return sql.SQL(
            "(SELECT p.{column}::text FROM {table} p"
            " WHERE p.{column} = o.reference::{type} LIMIT 1)"
        ).format(
            **self.open.parts,
            column=verbatim(sql.Identifier(column.name)),
            type=verbatim(sql.SQL(column.type.sql)),
        )

    def _rejected_parent(self, reference: Reference) -> sql.Composable:
        """The condition that the violation ``x`` kept the parent of ``o`` out of the target."""
        among: sql.Composable = sql.SQL("x.target_table = %(target)s")
        if reference.by_source_key:
            # Other loads into the table have source keys of their own.
            among = sql.SQL("x.load = ANY({})").format(_texts(reference.parents))
        return sql.SQL(
            "x.referenced AND x.job_id = %(job)s AND {} AND x.{} = o.reference AND NOT x.warning"
            " AND x.status <> 'replayed'"
        ).format(among, _by(reference))

    # -- rows that can't have their reference ---------------------------------------------------

    def _refuse(self, violation: Violation, ordinals: list[int]) -> None:
        """Rejects the candidates that the target refuses with their references."""
        condition, values = "o._ordinal = ANY(%(refused)s)", {"refused": ordinals}
        if self.program.write is WriteMode.UPSERT:
            # What the upsert has overwritten can't be brought back: the row stays without them.
            self.open.record(replace(violation, warning=True), condition, values)
            self.open.execute(f"UPDATE {{open}} o SET written = false WHERE {condition}", values)
        else:
            self.open.reject(violation, condition, values)

    def _skip(self, field: FieldProgram, reference: Reference) -> bool:
        """Skips the rows whose parent was skipped, also those that had been rejected."""
        self._look_up(field, reference)
        condition = "o.field = %(field)s AND o.parent IS NULL AND o.skipped"
        return self.open.skip(f"{field.name}.ref", condition, {"field": field.name})

    def _reject(self, field: FieldProgram, reference: Reference) -> bool:
        """Rejects the rows whose parent isn't there; says whether any of them had been written."""
        self._look_up(field, reference)
        cause = self._rejected_parent(reference)
        absent = "o.field = %(field)s AND o.parent IS NULL AND "
        name = {"field": field.name, "parents": list(reference.parents)}
        gone = False
        if reference.on_skipped is OnSkipped.REJECT:
            violation = _missing(field, "parent_skipped")
            gone |= self.open.reject(violation, f"{absent} o.skipped", name)
            self.open.forget(f"{absent} o.skipped", name)
        if reference.on_missing is OnMissing.REJECT:
            if reference.shares_source_keys:
                several = (
                    "EXISTS (SELECT FROM {keys} k WHERE k.job_id = %(job)s"
                    " AND k.load = ANY(%(parents)s) AND k.source_key = o.reference)"
                )
                guessed = f"{absent} NOT o.skipped AND {several}"
                violation = _missing(field, "ambiguous_parent")
                gone |= self.open.reject(violation, guessed, name, cause)
                self.open.forget(guessed, name)
            violation = _missing(field, "missing_parent")
            gone |= self.open.reject(violation, f"{absent} NOT o.skipped", name, cause)
            self.open.forget(f"{absent} NOT o.skipped", name)
        return gone


def _missing(field: FieldProgram, reason: str, warning: bool = False) -> Violation:
    return Violation(ErrorCode.DATA_002, f"{field.name}.ref", field.name, reason, warning)


def _by(reference: Reference) -> sql.Identifier:
    """The column of the control tables that holds what the reference says."""
    return sql.Identifier("source_key" if reference.by_source_key else "target_key")


def _texts(texts: Sequence[str]) -> sql.Composable:
    return verbatim(sql.SQL("{}::text[]").format(sql.Literal(list(texts))))
