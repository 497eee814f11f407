"""Strict conversions between column types, as DuckDB SQL over the transported value.

A conversion gives the value with the same meaning, or a reason why there is none: nothing is
rounded, cut, padded or guessed. DuckDB's own casts are lenient (``'5.7'::int`` is 6,
``'0x10'`` 16, ``'1_000'`` 1000), so text has to match a grammar first.
"""

from schemas.conversions.conversion import (
    AMBIGUOUS,
    AMBIGUOUS_TIME,
    CONVERSION,
    INEXACT,
    NO_SUCH_TIME,
    OUT_OF_RANGE,
    REASONS,
    TOO_LONG,
    Conversion,
    ConversionProblem,
)
from schemas.conversions.convert import convert
from schemas.conversions.text_readings import AS_WRITTEN, ENCODINGS, Encoding, OnAmbiguous, Reading
from schemas.conversions.text_values import to_text

__all__ = [
    "AMBIGUOUS",
    "AMBIGUOUS_TIME",
    "AS_WRITTEN",
    "CONVERSION",
    "ENCODINGS",
    "INEXACT",
    "NO_SUCH_TIME",
    "OUT_OF_RANGE",
    "REASONS",
    "TOO_LONG",
    "Conversion",
    "ConversionProblem",
    "Encoding",
    "OnAmbiguous",
    "Reading",
    "convert",
    "to_text",
]
