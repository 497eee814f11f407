"""How a code is written, and in which form it is looked up."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_PLACED_DOT = r"^(E[0-9]{3}|[0-9V][0-9]{2})\.([0-9]*)$"


def normalise(codes: pa.Array) -> pa.Array:
    """Codes (string) in the form in which they are looked up, position by position.

    Surrounding blanks go, a to z become capitals, and the dot goes where ICD-9-CM puts
    it: after the third character, of an E-code after the fourth. A dot elsewhere stays,
    and no map has such a code. Zeros are left alone.
    """
    upper = pc.ascii_upper(pc.ascii_trim_whitespace(codes))
    return pc.replace_substring_regex(upper, _PLACED_DOT, r"\1\2")
