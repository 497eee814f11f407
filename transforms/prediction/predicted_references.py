"""References of a load to itself, settled on predicted rows as ``references.deferred`` settles them
in the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import ErrorCode
from schemas.specification.policies import OnMissing, OnSkipped
from schemas.violations import Violation
from transforms.model.field_program import FieldProgram
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram

ACCEPTED, REJECTED, SKIPPED = 0, 1, 2
"""The verdicts on a candidate."""

Verdicts = npt.NDArray[np.int8]


def settled_fields(program: LoadProgram) -> list[FieldProgram]:
    """The fields whose references are settled when the load is done, and can be predicted."""
    return [f for f in program.fields if f.reference is not None and _is_predictable(program, f)]


def _is_predictable(program: LoadProgram, field: FieldProgram) -> bool:
    reference = field.reference
    return (
        reference is not None
        and reference.deferred
        and reference.parents == (program.name,)
        and reference.on_missing is not OnMissing.PLACEHOLDER
        and not reference.take
        and not reference.shares_source_keys
        and (reference.by_source_key or program.key == (reference.column,))
    )


@dataclass(frozen=True)
class OpenField:
    """A field's references: the candidates that have one, and to which key.

    ``exists_before`` says of a key whether a row from before the job has it.
    """

    field: FieldProgram
    references: dict[int, str]
    exists_before: Callable[[str], bool]

    @property
    def reference(self) -> Reference:
        assert self.field.reference is not None
        return self.field.reference


class SelfReferences:
    """Settles the references of candidates, which are numbered through all partitions.

    Args:
        keys: The key of each candidate by which it is referred to, as text; None without one.
        verdicts: What became of each until now; changed in place.
        fields: The references. Those of skipped candidates are left out.

    After ``settle``, ``violations`` are the candidates of each violation, and ``skipped`` the
    candidates that follow a skipped parent, with the name of that skip.
    """

    def __init__(
        self, keys: Sequence[str | None], verdicts: Verdicts, fields: Sequence[OpenField]
    ) -> None:
        self._keys = keys
        self._verdicts = verdicts
        self._fields = fields
        self._having: dict[int, Counter[str]] = {
            verdict: Counter(
                key
                for key in (keys[i] for i in np.flatnonzero(verdicts == verdict))
                if key is not None
            )
            for verdict in (ACCEPTED, REJECTED, SKIPPED)
        }
        self.violations: list[tuple[Violation, list[int]]] = []
        self.skipped: dict[int, str] = {}

    def settle(self) -> None:
        skipping = [one for one in self._fields if one.reference.on_skipped is OnSkipped.SKIP]
        while sum(self._skip(one) for one in skipping):
            pass
        while sum(self._reject(one) for one in self._fields):
            pass
        for one in self._fields:
            if one.reference.on_missing is OnMissing.SET_NULL:
                absent = [i for i, key in one.references.items() if not self._is_there(one, key)]
                self.violations.append((_missing(one, "set_null", warning=True), absent))

    def _is_there(self, one: OpenField, key: str) -> bool:
        return self._having[ACCEPTED][key] > 0 or one.exists_before(key)

    def _was_skipped(self, one: OpenField, key: str) -> bool:
        if one.reference.on_skipped is OnSkipped.AS_MISSING:
            return False
        return self._having[SKIPPED][key] > 0 and not self._having[REJECTED][key]

    def _skip(self, one: OpenField) -> bool:
        """Skips candidates whose parent was skipped; whether there were any."""
        fallen = [
            i
            for i, key in one.references.items()
            if not self._is_there(one, key) and self._was_skipped(one, key)
        ]
        for i in fallen:
            self._turn(i, SKIPPED)
            self.skipped[i] = f"{one.field.name}.ref"
        for other in self._fields:
            _forget(other, fallen)
        return bool(fallen)

    def _reject(self, one: OpenField) -> bool:
        """Rejects candidates whose parent isn't there; whether any of them had been accepted."""
        absent = [i for i, key in one.references.items() if not self._is_there(one, key)]
        of_skipped = [i for i in absent if self._was_skipped(one, one.references[i])]
        gone = False
        if one.reference.on_skipped is OnSkipped.REJECT:
            self.violations.append((_missing(one, "parent_skipped"), of_skipped))
            gone |= self._fall(one, of_skipped)
        if one.reference.on_missing is OnMissing.REJECT:
            skipped = set(of_skipped)
            lost = [i for i in absent if i not in skipped]
            because = [i for i in lost if self._having[REJECTED][one.references[i]]]
            caused = set(because)
            nowhere = [i for i in lost if i not in caused]
            self.violations.append((_missing(one, "parent_rejected"), because))
            self.violations.append((_missing(one, "missing_parent"), nowhere))
            gone |= self._fall(one, lost)
        return gone

    def _fall(self, one: OpenField, fallen: Iterable[int]) -> bool:
        gone = False
        for i in fallen:
            if self._verdicts[i] == ACCEPTED:
                gone = True
                self._turn(i, REJECTED)
        _forget(one, fallen)
        return gone

    def _turn(self, candidate: int, verdict: int) -> None:
        key = self._keys[candidate]
        if key is not None:
            self._having[int(self._verdicts[candidate])][key] -= 1
            self._having[verdict][key] += 1
        self._verdicts[candidate] = verdict


def _forget(one: OpenField, candidates: Iterable[int]) -> None:
    for i in candidates:
        one.references.pop(i, None)


def _missing(one: OpenField, reason: str, warning: bool = False) -> Violation:
    name = one.field.name
    return Violation(ErrorCode.DATA_002, f"{name}.ref", name, reason, warning)
