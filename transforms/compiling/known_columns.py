"""The columns to choose from, for messages; in a file without a header they are a patient."""

from __future__ import annotations

from schemas.catalog import Relation
from schemas.column_names import is_name_like
from schemas.specification.table import Load


def known_columns(relation: Relation, load: Load) -> str:
    """The remedy where a column isn't there: the columns to choose from.

    Names of a header are shown only where the load knows one of them, since else the first line
    may be a row, and of these only such as look like names.
    """
    names = [column.name for column in relation.columns]
    if not relation.has_unsure_names:
        return f"it has: {', '.join(names)}"
    named = [name for name in names if not name.startswith("_")]
    if len(named) == 1:
        for delimiter in (";", "\t", "|", ","):
            if delimiter in named[0]:
                written = delimiter.encode("unicode_escape").decode()
                return (
                    "its first line has one field, and other delimiters in it: write"
                    f" 'delimiter: \"{written}\"' in the source"
                )
    wanted = {*load.copy_, *(load.source_key or ())}
    wanted |= {name for field in load.fields.values() for name in field.from_ or ()}
    lower = {name.lower() for name in named}
    if not any(name.lower() in lower for name in wanted):
        return (
            f"its first line has {len(named)} fields, none of which this load names; if that is"
            " no header, write 'header: false' and 'columns: [NAME, ...]' in the source"
        )
    shown = [name for name in names if is_name_like(name)]
    hidden = [str(place) for place, name in enumerate(names, 1) if not is_name_like(name)]
    more = f"; no names are what stands in the places {', '.join(hidden)}" if hidden else ""
    return f"it has: {', '.join(shown)}{more}"
