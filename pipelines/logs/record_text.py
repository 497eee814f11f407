"""The two forms of a line in a log file: text, and a JSON object.

Both are made of the attributes that ``transforms.model.log_event`` gives a record. A record of a
library is reduced to the place in its code: its message may hold values of rows.
"""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any

from schemas.errors import HIDDEN, ErrorCode, hide_credentials

_FIELDS = ("job", "run", "load", "partition", "where")
_PLAIN = re.compile(r"[\w.:/@+-]+")
_LONG = 4
"""Characters from which a value is hidden without quotes too: a shorter one is part of words."""

PERFORMANCE = "PERFORMANCE"
"""The word that a line of performance.log has in the place of the level."""


class ProcessFacts:
    """What the lines of this process share.

    Attributes:
        job: The job, for records that name none.
        hidden: Arguments of the command line that are values of a row, such as a key. Messages to
            the person who gave them may repeat them, but no log.
    """

    job: str | None = None
    hidden: tuple[str, ...] = ()


def event_of(record: logging.LogRecord) -> str:
    """What a record says, without code and place.

    An exception is reduced to its kind, since its text may hold values.
    """
    raised = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
    if not is_ours(record):
        message = f"{record.name}, line {record.lineno} of {record.filename}"
    else:
        message = getattr(record, "event", None) or _without_code(record)
    return _hide(f"{message}: {raised}" if raised else message)


def _hide(text: str) -> str:
    """A text without credentials of URLs and values that the command line has."""
    for value in ProcessFacts.hidden:
        text = text.replace(f"'{value}'", f"'{HIDDEN}'")
        if len(value) >= _LONG:
            text = text.replace(value, HIDDEN)
    return hide_credentials(text)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is of Transfuse, whose messages hold no values."""
    return record.name == "transfuse" or record.name.startswith("transfuse.")


def _code_of(record: logging.LogRecord) -> str | None:
    """The code of a record, which may be an ``ErrorCode``."""
    code = getattr(record, "code", None)
    return code.value if isinstance(code, ErrorCode) else code


def _without_code(record: logging.LogRecord) -> str:
    """The message of a record that has its code in ``extra``, and perhaps in its message too."""
    code, message = _code_of(record), record.getMessage()
    return message.removeprefix(code).lstrip(" :") if code else message


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: getattr(record, name, None) for name in _FIELDS}
    fields["job"] = fields["job"] or ProcessFacts.job
    fields["where"] = _hide(fields["where"] or "") or None
    return fields


class TextLine(logging.Formatter):
    """``TIME job=.. run=.. load=.. partition=.. LEVEL CODE message``, in local time.

    What varies between events of a kind stands before the level, so that lines can be counted from
    there on.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields = " ".join(
            f"{name}={_quote(value)}" for name, value in _fields_of(record).items() if value
        )
        text = " ".join(
            filter(None, (fields, record.levelname, _code_of(record), event_of(record)))
        )
        return f"{local_time(record)} {_in_one_line(text)}"


class PerformanceLine(TextLine):
    """``TIME job=.. run=.. load=.. PERFORMANCE what, rows in seconds, and the rate at the end``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record that ``measured`` accepts."""
        fields = " ".join(
            f"{name}={_quote(value)}" for name, value in _fields_of(record).items() if value
        )
        details = getattr(record, "details", {})
        text = (
            f"{fields} {PERFORMANCE} {getattr(record, 'event', '').partition(':')[0]}:"
            f" rows {details['rows']} seconds {details['seconds']:.3f}"
            f" rows/s {details['rows_per_second']}"
        )
        return f"{local_time(record)} {_in_one_line(text)}"


class JsonLine(logging.Formatter):
    """A JSON object; ``time`` is local, with its offset from UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields = _fields_of(record)
        offset = time.strftime("%z", time.localtime(record.created))
        document = {
            "time": f"{local_time(record).replace(' ', 'T')}{offset[:3]}:{offset[3:]}",
            "level": record.levelname,
            "code": _code_of(record),
            **fields,
            "message": event_of(record),
            **getattr(record, "details", {}),
        }
        return json.dumps(document, ensure_ascii=False, default=str)


def is_measured(record: logging.LogRecord) -> bool:
    """Whether a record belongs into performance.log."""
    return "rows_per_second" in getattr(record, "details", {})


def local_time(record: logging.LogRecord) -> str:
    """The time of a record as a line begins with it."""
    local = time.localtime(record.created)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{min(int(record.msecs), 999):03d}"


def _quote(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _in_one_line(text: str) -> str:
    """A text without line breaks and other control characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)
