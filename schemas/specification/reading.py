"""From a file to a specification, or to the list of everything that is wrong with it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.consistency import inconsistencies
from schemas.specification.database_url import find_url_problem
from schemas.specification.document import Document, ValuePath, read_document
from schemas.specification.expression_problems import expression_problems
from schemas.specification.listed_rules import write_out_listed_rules
from schemas.specification.root import Specification


def read_specification(
    path: Path | str,
    variables: Mapping[str, str] | None = None,
    job: str | None = None,
    defer_fields: bool = False,
) -> Specification:
    """Read and check a specification, as far as that is possible without a database.

    Args:
        path: The file.
        variables: The values of ``${NAME}``; None means those of the environment.
        job: A name in place of the job's own.
        defer_fields: Leave what is wrong with fields and expressions to the caller, who reports
            it together with what the databases say: ``deferred_problems`` has it then.

    Returns:
        The specification.

    Raises:
        TransfuseError: All problems at once, each with file, line and path: SYS-004 for the
            specification's own faults, USER-001 where the file can't be read.
    """
    document = read_document(Path(path), os.environ if variables is None else variables)
    replaced = job is not None and document.data.get("job") != job
    if job is not None:
        document.data["job"] = job
    problems = write_out_listed_rules(document)
    try:
        specification = Specification.model_validate(document.data)
    except ValidationError as error:
        problems += [_problem(e, document) for e in error.errors()]
        problems += _url_problems(document)
        raise TransfuseError(problems) from None
    specification.place(document)
    if replaced:
        specification.replace_job()
    general, of_fields = inconsistencies(specification)
    problems += general
    of_fields += expression_problems(specification)
    if problems or (of_fields and not defer_fields):
        raise TransfuseError([*problems, *of_fields])
    specification.defer(of_fields)
    return specification


def _problem(error: ErrorDetails, document: Document) -> Problem:
    path, keys = _written_path(error["loc"])
    kind, given = error["type"], error["input"]
    remedy = "see the specification's description in the README"
    if kind == "extra_forbidden":
        name = str(path[-1])
        message = f"the key '{name}' is not known here"
        close = difflib.get_close_matches(name, keys, 1)
        remedy = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(keys)}"
    elif kind == "missing":
        message = f"'{path[-1]}' is missing"
        remedy = f"add '{path[-1]}: ...' here"
        path = path[:-1]
    elif kind == "enum" and error["ctx"]["expected"].startswith(repr(_CODES[0])):
        message = f"'{given}' is no error code"
        close = difflib.get_close_matches(str(given), _CODES, 1)
        remedy = f"did you mean '{close[0]}'?" if close else "a code is written as in DATA-001"
    elif kind in ("enum", "literal_error"):
        message = (
            f"{_spelling(given)} is not one of the values it may have: {error['ctx']['expected']}"
        )
    elif kind == "value_error":
        message = str(error["ctx"]["error"])
    elif kind == "greater_than_equal":
        message = f"{_spelling(given)} is too little: {error['ctx']['ge']} at least"
    else:
        wanted = _WANTED.get(kind, error["msg"][0].lower() + error["msg"][1:])
        message = f"{wanted} is expected here, not {_kind(given)}"
    return Problem(ErrorCode.SYS_004, message, str(document.locate(path)), remedy)


def _url_problems(document: Document) -> Iterator[Problem]:
    """Faults of the URLs in a document that is no specification yet."""
    named = document.data.get("sources")
    places: list[ValuePath] = [("source",), ("target",)]
    places += [("sources", name) for name in named] if isinstance(named, dict) else []
    for place in places:
        part = document.data
        for step in place:
            part = part.get(step) if isinstance(part, dict) else None
        url = part.get("url") if isinstance(part, dict) else None
        problem = find_url_problem(url) if isinstance(url, str) else None
        if problem is not None:
            where = str(document.locate((*place, "url")))
            yield Problem(ErrorCode.SYS_004, problem.message, where, problem.remedy)


_CODES = [code.value for code in ErrorCode]

_WANTED = {
    "string_type": "text",
    "list_type": "a name, or a list of names,",
    "dict_type": "a mapping ('key: value' lines)",
    "model_type": "a mapping ('key: value' lines)",
    "model_attributes_type": "a mapping ('key: value' lines)",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
}


def _spelling(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    """What stands in the place of something else; not its text, which may be a password."""
    kinds = ((str, "text"), (Mapping, "a mapping"), (list, "a list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "nothing")


def _written_path(loc: tuple[int | str, ...]) -> tuple[ValuePath, list[str]]:
    """Pydantic's path without its own markers, and the keys known where it ends."""
    path: list[str | int] = []
    keys: list[str] = []
    model: Any = Specification
    collection = False
    for step in loc:
        if isinstance(step, str) and (step.startswith("function-") or step == "[key]"):
            continue
        if collection:
            collection = False
        elif model is not None:
            keys = [f.alias or n for n, f in model.model_fields.items()]
            known = [f for n, f in model.model_fields.items() if step in (n, f.alias)]
            model, collection = _model_of(known[0].annotation) if known else (None, False)
        path.append(step)
    return tuple(path), keys


def _model_of(annotation: Any) -> tuple[Any, bool]:
    """The model inside an annotation, and whether in a dict or list: ``dict[str, Load]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in getattr(annotation, "__args__", ()):
        model, _ = _model_of(inner)
        if model is not None:
            return model, getattr(annotation, "__origin__", None) in (dict, list)
    return None, False
