"""Logging of the command: warnings and errors to stderr, one line each."""

from __future__ import annotations

import logging
import os


def log_to_stderr() -> None:
    """Sets logging up, before Beam is imported; TRANSFUSE_DEBUG shows debug messages too."""
    level = logging.DEBUG if os.environ.get("TRANSFUSE_DEBUG") else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("transfuse").setLevel(level)
    logging.getLogger().addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Not what Beam says on import about a library that only its Google Cloud parts use."""
    return "apitools not found" not in record.getMessage()
