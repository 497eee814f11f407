"""Looks up the Python functions of a load's fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from schemas.errors import ErrorCode
from schemas.sql.transformations import is_python_function
from transforms.compiling.load_facts import LoadFacts
from transforms.model.field_program import FieldProgram
from transforms.model.python_function import PythonFunction
from transforms.sql.function_sources import digest_of_modules
from transforms.sql.python_functions import find_function


def resolve_functions(
    facts: LoadFacts, fields: Sequence[FieldProgram], folder: str
) -> tuple[FieldProgram, ...]:
    """Replace ``module:function`` in the transformations of fields by the function's address.

    Args:
        facts: gets a problem (SYS-004) for each function that can't be imported.
        fields: compiled fields, with transformations as the specification spells them.
        folder: the one of the specification, or empty.
    """
    if not any(_functions(field.transform) for field in facts.load.fields.values()):
        return tuple(fields)
    addresses = _addresses(facts, folder)
    _check_functions(facts, addresses)
    return tuple(
        replace(field, transforms=tuple(addresses.get(step, step) for step in field.transforms))
        for field in fields
    )


def _functions(steps: Iterable[str]) -> list[str]:
    return [step for step in steps if is_python_function(step)]


def _addresses(facts: LoadFacts, folder: str) -> dict[str | PythonFunction, PythonFunction]:
    """The functions of all loads: a module that several of them use is loaded once."""
    loads = facts.specification.tables.values()
    names = {n for load in loads for f in load.fields.values() for n in _functions(f.transform)}
    split = {name: name.split(":") for name in names}
    sha256 = digest_of_modules({module for module, _ in split.values()}, folder)
    return {
        name: PythonFunction(module, function, folder, sha256)
        for name, (module, function) in split.items()
    }


def _check_functions(
    facts: LoadFacts, addresses: dict[str | PythonFunction, PythonFunction]
) -> None:
    for name, field in facts.load.fields.items():
        for position, step in enumerate(field.transform):
            if step not in addresses:
                continue
            try:
                find_function(addresses[step])
            except ValueError as error:
                facts.problem(
                    str(error),
                    "fields",
                    name,
                    "transform",
                    position,
                    code=ErrorCode.SYS_004,
                    remedy="correct the name, or put the module beside the specification",
                )
