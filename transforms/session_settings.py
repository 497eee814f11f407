"""The settings under which every session with a PostgreSQL server runs.

A value that travels as text, a boundary in a stored predicate and the hash of a row are
the server's own text forms, so two sessions agree on them only under the same settings.
"""

from __future__ import annotations

SESSION_SETTINGS: dict[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
