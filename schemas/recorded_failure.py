"""The text of a failure in the ledger: the message and the remedy, joined by an arrow."""

from __future__ import annotations

_ARROW = " -> "


def with_remedy(message: str, remedy: str) -> str:
    """Joins a message and a remedy to the text that the ledger stores."""
    return f"{message}{_ARROW}{remedy}" if remedy else message


def split_remedy(text: str) -> tuple[str, str]:
    """Splits a text of the ledger into message and remedy; the remedy may be empty."""
    message, _, remedy = text.partition(_ARROW)
    return message, remedy
