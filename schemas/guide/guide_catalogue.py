"""All entries of the guide by code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.errors import ErrorCode
from schemas.guide import (
    connection_codes,
    data_codes,
    system_codes,
    transformation_codes,
    user_codes,
)
from schemas.guide.guide_entry import GuideEntry

GUIDE: Mapping[ErrorCode, GuideEntry] = MappingProxyType(
    {
        entry.code: entry
        for module in (
            connection_codes,
            data_codes,
            transformation_codes,
            system_codes,
            user_codes,
        )
        for entry in module.ENTRIES
    }
)
"""The entries in the order of the codes."""
