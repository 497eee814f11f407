"""The key ``escalation``: the people whom incidents name, and when a job counts as down."""

from __future__ import annotations

from pydantic import Field as Attribute

from schemas.specification.model import Part
from schemas.specification.quantities import Seconds


class Contacts(Part):
    """Names, telephone numbers or addresses, as notices of incidents print them."""

    level_1: str | None = None
    level_2: str | None = None
    level_3: str | None = None
    level_4: str | None = None
    on_call_manager: str | None = None
    primary: str | None = None
    backup: str | None = None


class Escalation(Part):
    """The contacts, and the seconds after which a job that ended incomplete is down.

    30 minutes is the guide's trigger of an escalation.
    """

    contacts: Contacts = Contacts()
    down_after: Seconds = Attribute(default=1800.0)
