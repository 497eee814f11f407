"""Encodings of text that can be read from the middle of a file on."""

from __future__ import annotations

import codecs
from functools import lru_cache


def is_utf8(name: str) -> bool:
    """Whether an encoding is UTF-8. Raises LookupError for an unknown one."""
    return codecs.lookup(name).name in ("utf-8", "utf-8-sig")


@lru_cache
def has_one_byte_each(name: str) -> bool:
    """Whether each character is one byte, and ASCII is unchanged, as in latin-1 and cp1252.

    Then a byte that looks like a delimiter, quote or newline is one. Raises LookupError for
    an unknown encoding.
    """
    codec = codecs.lookup(name)
    ascii_only = bytes(range(128))
    # Those of ISO 2022 change their meaning in the middle of a text; others are no encodings
    # of text as it stands in files.
    others = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
    if not codec._is_text_encoding or codec.name.startswith("iso2022") or codec.name in others:
        return False
    try:
        if codec.decode(ascii_only)[0] != ascii_only.decode("ascii"):
            return False
    except UnicodeError:
        return False
    return all(_stands_alone(codec, bytes([byte])) for byte in range(128, 256))


def _stands_alone(codec: codecs.CodecInfo, byte: bytes) -> bool:
    """Whether a byte is a whole character, or none wherever it stands."""
    try:
        return len(codec.decode(byte)[0]) == 1
    except UnicodeDecodeError as error:
        # The error for a byte that begins a longer character says that the text ends too early.
        return "incomplete" not in error.reason and "unexpected end" not in error.reason
