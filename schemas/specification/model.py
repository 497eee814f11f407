"""What every part of a specification shares: where it stands, and how strictly it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr

from schemas.errors import ErrorCode, Problem
from schemas.specification.document import Document, Location, ValuePath


class Part(BaseModel):
    """A part of the specification that knows its file, line and path."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    _document: Document | None = PrivateAttr(default=None)
    _path: ValuePath = PrivateAttr(default=())

    def at(self, *below: str | int) -> Location:
        """Where this part stands, or what lies ``below`` it."""
        if self._document is None:
            return Location("", 1, ".".join(map(str, (*self._path, *below))))
        return self._document.locate((*self._path, *below))

    def problem(
        self,
        message: str,
        *below: str | int,
        code: ErrorCode = ErrorCode.SYS_004,
        remedy: str = "",
    ) -> Problem:
        """A problem of this part, or of what lies ``below`` it."""
        return Problem(code, message, str(self.at(*below)), remedy)

    def place(self, document: Document, path: ValuePath = ()) -> None:
        """Tells this part and all parts inside it where they stand."""
        self._document, self._path = document, path
        for step, part in self._parts():
            part.place(document, path + step)

    def _parts(self) -> Iterator[tuple[ValuePath, Part]]:
        for name, info in type(self).model_fields.items():
            yield from _inside(getattr(self, name), (info.alias or name,))


def _inside(value: Any, step: ValuePath) -> Iterator[tuple[ValuePath, Part]]:
    if isinstance(value, Part):
        yield step, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _inside(one, (*step, key))
    elif isinstance(value, (list, tuple)):
        for position, one in enumerate(value):
            yield from _inside(one, (*step, position))
