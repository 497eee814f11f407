"""The policies of a specification: what happens to rows, values and keys in doubtful cases.

The value of each member is the word that a specification uses. These words are stored in the
control tables as well, so they can't be renamed.
"""

from __future__ import annotations

from enum import Enum


class WriteMode(str, Enum):
    """Whether a row whose key an existing row has is refused, left out, or updates that row."""

    INSERT = "insert"
    SKIP_EXISTING = "skip_existing"
    UPSERT = "upsert"


class Keep(str, Enum):
    """Which of several candidates with one key wins, in the order of ``duplicates.order``."""

    FIRST = "first"
    LAST = "last"


class Losers(str, Enum):
    """Whether the losers of a key are rejected or skipped."""

    REJECT = "reject"
    SKIP = "skip"


class OnMissing(str, Enum):
    """The policy for a child whose parent isn't in the target."""

    REJECT = "reject"
    SET_NULL = "set_null"
    ALLOW = "allow"
    PLACEHOLDER = "placeholder"


class OnSkipped(str, Enum):
    """The policy for a child whose parent was skipped.

    ``AS_MISSING`` applies ``on_missing``; a specification can't name it.
    """

    SKIP = "skip"
    REJECT = "reject"
    AS_MISSING = "as_missing"


class OnError(str, Enum):
    """The policy for a value that can't be converted to the type of its field."""

    REJECT = "reject"
    SET_NULL = "set_null"


class OnFail(str, Enum):
    """Whether a row that fails a rule is rejected, or written with a warning."""

    REJECT = "reject"
    WARN = "warn"


class OnBlank(str, Enum):
    """Whether blank text counts as missing."""

    MISSING = "missing"
    KEEP = "keep"


class OnEmpty(str, Enum):
    """The policy for a source row that holds no candidate."""

    SKIP = "skip"
    REJECT = "reject"


class UnmappedAction(str, Enum):
    """The policy for a value that a map lacks.

    ``DEFAULT`` writes a value that the specification names: ``on_unmapped: {default: VALUE}``.
    """

    REJECT = "reject"
    KEEP = "keep"
    SET_NULL = "set_null"
    DEFAULT = "default"


class Indexes(str, Enum):
    """Whether the target's indexes stay during a run, or are built after each load."""

    KEEP = "keep"
    AFTER_LOAD = "after_load"


class KeyGenerator(str, Enum):
    """How a generated key is made: from the target's sequence, or from the source key."""

    SEQUENCE = "sequence"
    UUID5 = "uuid5"


class SystemValue(str, Enum):
    """A value that a field takes from the run, and not from the source row's columns."""

    STARTED_AT = "started_at"
    JOB = "job"
    SOURCE_KEY = "source_key"
