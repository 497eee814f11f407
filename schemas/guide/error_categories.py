"""The guide's five categories of errors and their contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.errors import Category


@dataclass(frozen=True)
class CategoryContents:
    """The title of a category, the prefix of its codes, and the kinds of errors in it."""

    title: str
    prefix: str
    kinds: tuple[str, ...]


CATEGORIES: Mapping[Category, CategoryContents] = MappingProxyType(
    {
        Category.CONNECTION: CategoryContents(
            "Connection Errors",
            "CONN",
            (
                "Database connectivity issues",
                "Network timeouts and failures",
                "Authentication and authorization problems",
                "SSL/TLS certificate issues",
            ),
        ),
        Category.DATA: CategoryContents(
            "Data Errors",
            "DATA",
            (
                "Data validation failures",
                "Data type conversion errors",
                "Referential integrity violations",
                "Data quality issues",
            ),
        ),
        Category.TRANSFORMATION: CategoryContents(
            "Transformation Errors",
            "TRANS",
            (
                "Field mapping failures",
                "Code system translation errors",
                "Business rule violations",
                "Schema compatibility issues",
            ),
        ),
        Category.SYSTEM: CategoryContents(
            "System Errors",
            "SYS",
            (
                "Application crashes and exceptions",
                "Resource exhaustion",
                "Configuration errors",
                "Performance degradation",
            ),
        ),
        Category.USER: CategoryContents(
            "User Errors",
            "USER",
            (
                "Invalid user input",
                "Permission denied",
                "Workflow violations",
                "Interface errors",
            ),
        ),
    }
)
"""The categories in the order of the guide."""
