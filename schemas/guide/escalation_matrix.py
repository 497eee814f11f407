"""The guide's escalation matrix: who is responsible for an issue on each level of support."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from schemas.errors import Category, ErrorCode
from schemas.guide.support_levels import SupportLevel


class IssueType(str, Enum):
    """A row of the matrix."""

    CONNECTION = "Connection Issues"
    DATA_QUALITY = "Data Quality"
    PERFORMANCE = "Performance"
    SECURITY = "Security"
    COMPLIANCE = "Compliance"


def _row(*contacts: str) -> Mapping[SupportLevel, str]:
    return MappingProxyType(dict(zip(SupportLevel, contacts, strict=True)))


MATRIX: Mapping[IssueType, Mapping[SupportLevel, str]] = MappingProxyType(
    {
        IssueType.CONNECTION: _row(
            "User Support", "System Admin", "Network Team", "Vendor Support"
        ),
        IssueType.DATA_QUALITY: _row(
            "Data Analyst", "Database Admin", "Development Team", "Business SME"
        ),
        IssueType.PERFORMANCE: _row(
            "System Admin", "Database Admin", "Development Team", "Infrastructure Team"
        ),
        IssueType.SECURITY: _row("Security Team", "CISO", "Legal Team", "External Auditor"),
        IssueType.COMPLIANCE: _row(
            "Compliance Officer", "Legal Team", "Executive Team", "Regulatory Body"
        ),
    }
)
"""The contact of each issue type on each level of support."""

_BY_CATEGORY = {
    Category.CONNECTION: IssueType.CONNECTION,
    Category.DATA: IssueType.DATA_QUALITY,
    Category.TRANSFORMATION: IssueType.DATA_QUALITY,
    Category.SYSTEM: IssueType.PERFORMANCE,
    Category.USER: IssueType.PERFORMANCE,
}

_EXCEPTIONS = {ErrorCode.USER_002: IssueType.SECURITY}


def issue_type_of(code: ErrorCode) -> IssueType:
    """The row of the matrix that a code belongs to.

    The guide doesn't assign codes to rows. The category decides: connections, then data and
    transformations (data quality), then the system and its users, whose first contact is the
    system administrator (performance). A missing right (USER-002) is for those who grant rights
    (security). No code is a compliance issue by itself: people or incidents decide on that.
    """
    return _EXCEPTIONS.get(code, _BY_CATEGORY[code.category])
