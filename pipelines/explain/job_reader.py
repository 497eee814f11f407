"""Reads the facts of a specification that may be wrong or incomplete.

Somebody who asks what SYS-004 or TRANS-001 means has a specification that the models refuse. It is
therefore read as a document: what is missing or has another form is left out.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from pipelines.explain.job_facts import (
    JobFacts,
    JobField,
    JobLoad,
    JobRelation,
    JobServer,
)
from schemas.specification.database_url import find_url_problem
from schemas.specification.document import read_document
from schemas.specification.stored_text import hide_passwords

_POSITION = "_position"


class _UnsetAsWritten(dict[str, str]):
    """Variables of which those that aren't set stay ``${NAME}``."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"${{{name}}}"


def read_job_facts(
    path: Path | str, variables: Mapping[str, str] | None = None, job: str | None = None
) -> JobFacts:
    """Read the facts of a specification, without checking it and without connecting.

    Args:
        path: The file.
        variables: The values of ``${NAME}``; None means those of the environment.
        job: A name in place of the job's own.

    Returns:
        The facts.

    Raises:
        TransfuseError: USER-001 if the file can't be read; SYS-004 if it isn't a mapping in YAML.
    """
    settings = _UnsetAsWritten(os.environ if variables is None else variables)
    data = _mapping(read_document(Path(path), settings).data)
    target = _mapping(data.get("target"))
    notes: list[str] = []
    named = _mapping(data.get("sources")) or {"source": data.get("source")}
    sources: dict[str, JobServer] = {}
    for name, value in named.items():
        source = _mapping(value)
        if "path" not in source:
            label = "source" if name == "source" else f"source {name}"
            sources[name] = _server(label, source.get("url"), notes)
    own_name = str(data.get("job") or "JOB")
    maps = {name: _mapping(value) for name, value in _mapping(data.get("maps")).items()}
    return JobFacts(
        file=str(path),
        job=job or own_name,
        replaced_job=job is not None and job != own_name,
        control_schema=_text(target.get("control_schema")),
        target=_server("target", target.get("url"), notes),
        sources=tuple(sources.values()),
        loads=tuple(
            _load(name, _mapping(value), sources, maps)
            for name, value in _mapping(data.get("tables")).items()
        ),
        metrics_port=_text(_mapping(data.get("monitor")).get("metrics_port")) or "9464",
        notes=tuple(notes),
    )


def _server(label: str, url: object, notes: list[str]) -> JobServer:
    """The server of a URL. A URL that can't be read in one way is not quoted."""
    if not isinstance(url, str) or find_url_problem(url) is not None:
        reason = "its URL is not set" if not url or "${" in str(url) else "its URL has a fault"
        notes.append(f"HOST, PORT, DATABASE and ROLE stand for those of the {label}: {reason}")
        return JobServer(label, (("HOST", "PORT"),), "DATABASE", "ROLE")
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    if "service" in parts and "host" not in parts:
        notes.append(f"HOST, PORT, DATABASE and ROLE of the {label} are those of its service")
        return JobServer(label, (("HOST", "PORT"),), "DATABASE", "ROLE")
    role = parts.get("user") or os.environ.get("PGUSER") or getpass.getuser()
    hosts = (parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = (parts.get("port") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = tuple((host, port or "5432") for host, port in zip(hosts, ports, strict=False))
    return JobServer(label, places, parts.get("dbname") or role, role)


def _load(
    name: str,
    load: Mapping[str, Any],
    sources: Mapping[str, JobServer],
    maps: Mapping[str, Mapping[str, Any]],
) -> JobLoad:
    fields = [
        _field(column, _mapping(value), maps)
        for column, value in _mapping(load.get("fields")).items()
    ]
    copied = [JobField(c, (c,), False, None, False, False, False) for c in _names(load, "copy")]
    return JobLoad(
        name=name,
        into=_text(load.get("into")) or name,
        relations=tuple(_relations(load.get("from"), sources)),
        key=_names(load, "key"),
        source_key=_names(load, "source_key"),
        fields=(*fields, *copied),
    )


def _field(name: str, field: Mapping[str, Any], maps: Mapping[str, Mapping[str, Any]]) -> JobField:
    used = maps.get(str(field["map"])) if field.get("map") else None
    return JobField(
        name=name,
        columns=_names(field, "from"),
        required=str(field.get("required")).lower() == "true",
        parent=_text(field.get("ref")),
        has_codes=used is not None and not used.keys() & {"values", "csv", "query"},
        has_map="map" in field,
        is_generated="generate" in field,
    )


def _relations(value: object, sources: Mapping[str, JobServer]) -> Iterator[JobRelation]:
    for entry in value if isinstance(value, list) else [value]:
        relation = {"table": entry} if isinstance(entry, str) else _mapping(entry)
        name = _text(relation.get("source")) or next(iter(sources), "")
        table, query = _text(relation.get("table")), _text(relation.get("query"))
        if name in sources and (table or query):
            shown = None if query is None else hide_passwords(query)
            yield JobRelation(sources[name], table, shown, _made_columns(relation))


def _made_columns(relation: Mapping[str, Any]) -> frozenset[str]:
    unpivot, split = _mapping(relation.get("unpivot")), _mapping(relation.get("split"))
    made = {_POSITION, *_mapping(unpivot.get("columns"))}
    made |= {
        str(part[key]) for part in (unpivot, split) for key in ("position", "into") if part.get(key)
    }
    return frozenset(made)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(part: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = part.get(key)
    entries = value if isinstance(value, list) else [value]
    return tuple(entry for entry in entries if isinstance(entry, str))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
