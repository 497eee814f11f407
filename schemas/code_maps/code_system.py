"""The code systems that General Equivalence Mappings connect, and how their codes are written.

Source: ICD-9-CM Official Guidelines for Coding and Reporting, 2014; ICD-10-CM Official Guidelines
for Coding and Reporting, I.A.2 to I.A.5; ICD-10-PCS Official Guidelines, A1 to A5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class CodeSystem:
    """A code system of diagnoses or procedures, of the 9th or the 10th revision of the ICD; its
    codes in capitals as regular expressions.

    ``form`` is a code without its dot, ``head`` what stands before the dot and ``tail`` what may
    stand after it; a system whose codes have none has no head. ``foreign`` is the beginning of
    codes whose dot shows that they are of another system, though without it they may look like
    codes of this one.

    ``digits_before_dot`` is how many digits a code of digits has before its dot, ``longest`` how
    many characters a code has. ``names`` are those of the table ``code_mappings``, without
    anything but capitals and digits; messages use the first.
    """

    name: str
    kind: str
    revision: int
    names: tuple[str, ...]
    form: str
    head: str
    tail: str
    foreign: str
    digits_before_dot: int
    longest: int

    @property
    def dot_pattern(self) -> str:
        """The regular expression of a code with its dot in place, in two groups."""
        return rf"^({self.head})\.({self.tail}*)$"

    def with_dot(self, code: str) -> str:
        """Writes a code with its dot."""
        head = re.match(self.head, code) if self.head else None
        if head is None or head.end() == len(code):
            return code
        return f"{head.group()}.{code[head.end() :]}"


ICD9CM = CodeSystem(
    name="ICD-9-CM",
    kind="diagnosis",
    revision=9,
    names=("ICD9", "ICD9CM"),
    form=r"(?:[0-9]{3}|V[0-9]{2})[0-9]{0,2}|E[0-9]{3}[0-9]?",
    head=r"E[0-9]{3}|[0-9V][0-9]{2}",
    tail=r"[0-9]",
    foreign=r"^[A-Z][0-9][0-9A-Z]\.",
    digits_before_dot=3,
    longest=5,
)
ICD10CM = CodeSystem(
    name="ICD-10-CM",
    kind="diagnosis",
    revision=10,
    names=("ICD10", "ICD10CM"),
    form=r"[A-Z][0-9][0-9A-Z]{1,5}",
    head=r"[A-Z][0-9][0-9A-Z]",
    tail=r"[0-9A-Z]",
    foreign=r"^E[0-9]{3}\.",
    digits_before_dot=3,
    longest=7,
)
ICD9PROC = CodeSystem(
    name="ICD-9-CM volume 3",
    kind="procedure",
    revision=9,
    names=("ICD9PROC", "ICD9PCS"),
    form=r"[0-9]{3,4}",
    head=r"[0-9]{2}",
    tail=r"[0-9]",
    foreign=r"^[0-9]{3}\.",
    digits_before_dot=2,
    longest=4,
)
ICD10PCS = CodeSystem(
    name="ICD-10-PCS",
    kind="procedure",
    revision=10,
    names=("ICD10PCS",),
    form=r"[0-9A-HJ-NP-Z]{7}",
    head="",
    tail="",
    foreign=r"[^\s\S]",
    digits_before_dot=0,
    longest=7,
)
