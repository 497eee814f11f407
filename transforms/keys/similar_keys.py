"""Parents whose key is written in another way than the reference that failed.

To the server, keys that differ in case, blanks or Unicode form are different keys, and no reference
is guessed. A person sees the same text twice, so the violation says in what they differ.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.blanks import INVISIBLE
from transforms.keys.parent_keys import KeyMap

_INVISIBLE = "[" + "".join(rf"\x{{{ord(one):X}}}" for one in INVISIBLE) + "]"


class SimilarKeys:
    """Keys of parents by what is left of them without case, blanks and Unicode form.

    ``nbytes`` is what it keeps in memory.
    """

    def __init__(self, keys: KeyMap) -> None:
        self._keys = keys

    @classmethod
    def build(cls, texts: pa.Array) -> SimilarKeys:
        """The index of ``texts``, which may repeat and be NULL."""
        return cls(KeyMap.build(_bare(texts), texts))

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes

    def differences(self, keys: pa.Array) -> pa.StringArray:
        """In what each key (text), which no parent has, differs from a parent's.

        Returns:
            The reason of its violation; NULL where no parent has a similar key.
        """
        bare = _bare(keys)
        similar = self._keys.lookup(bare).cast(pa.string())
        several = pc.fill_null(self._keys.ambiguous.contains(bare), False)
        reasons = pc.case_when(
            pc.make_struct(
                pc.fill_null(pc.equal(_small(similar), _small(keys)), False),
                pc.fill_null(pc.equal(_visible(similar), _visible(keys)), False),
                pc.fill_null(pc.equal(_compose(similar), _compose(keys)), False),
                pc.or_(pc.is_valid(similar), several),
            ),
            "key_differs_in_case",
            "key_differs_in_blanks",
            "key_differs_in_form",
            "key_differs_in_writing",
        )
        return reasons.cast(pa.string())


def no_differences(keys: pa.Array) -> pa.StringArray:
    """What ``SimilarKeys.differences`` gives where no parent is known."""
    return pa.nulls(len(keys), pa.string())


def _bare(texts: pa.Array) -> pa.Array:
    return _small(_compose(_visible(texts)))


def _visible(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, pattern=_INVISIBLE, replacement="")


def _compose(texts: pa.Array) -> pa.Array:
    return pc.utf8_normalize(texts, form="NFC")


def _small(texts: pa.Array) -> pa.Array:
    return pc.utf8_lower(texts)
