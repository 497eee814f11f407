"""Ready rules for diagnosis codes: their form, whether there are such codes, and which system is
in force."""

from __future__ import annotations

from schemas.code_maps.code_files import packaged_icd9, packaged_icd10, read_codes_of
from schemas.code_maps.packaged_codes import LAST_YEAR
from schemas.column_types import DATE
from schemas.errors import ErrorCode
from schemas.ready_rules.operands import Family, ListedCodes, Operand, before, not_after
from schemas.ready_rules.parameters import Constant, FieldParameter, FileParameter, day, one_of
from schemas.ready_rules.rule import ready_rule
from schemas.ready_rules.visits import DISCHARGED

CODE = FieldParameter("code", Family.TEXT, "the diagnosis code", "code")
CODE_SYSTEM = FieldParameter(
    "system",
    Family.VALUE,
    "the code system of the row, as ICD9CM, ICD-10 or 9; or 9 or 10 for all rows",
    "code_system",
    constants=("9", "10"),
)
NOTATION = Constant("notation", one_of("any", "dotted", "undotted"), "whether with a dot", "any")

_DOTS = {"any": r"\.?", "dotted": r"\.", "undotted": ""}


def _icd9(notation: str) -> str:
    dot = _DOTS[notation]
    return rf"([0-9]{{3}}|V[0-9]{{2}})({dot}[0-9]{{1,2}})?|E[0-9]{{3}}({dot}[0-9])?"


def _icd10(notation: str) -> str:
    return rf"[A-Z][0-9][0-9A-Z]({_DOTS[notation]}[0-9A-Z]{{1,4}})?"


@ready_rule(CODE, NOTATION)
def icd9_format(code: Operand, notation: str) -> str:
    """A diagnosis code has the form of ICD-9-CM: 250.01, V30.00, E812.0.

    Source: ICD-9-CM Official Guidelines for Coding and Reporting, 2014: three to five digits,
    V and two to four, E and three or four; the dot after the third digit, or the fourth
    character of an E code.
    """
    return f"regexp_full_match({code.text}, '{_icd9(notation)}')"


@ready_rule(CODE, NOTATION)
def icd10_format(code: Operand, notation: str) -> str:
    """A diagnosis code has the form of ICD-10-CM: E11.9, S52.521A.

    Source: ICD-10-CM Official Guidelines for Coding and Reporting, I.A.2 to I.A.5: three to
    seven characters, a letter and a digit first, the dot after the third.
    """
    return f"regexp_full_match({code.text}, '{_icd10(notation)}')"


@ready_rule(
    CODE,
    FileParameter(
        "file",
        "code",
        ("codes",),
        read_codes_of(9),
        "the path of a file with a code in each line, and what may follow it",
        packaged_icd9,
        "ICD-9-CM version 32",
    ),
)
def icd9_valid(code: Operand, file: ListedCodes) -> str:
    """A diagnosis code stands in ICD-9-CM, with or without its dot, at its full length.

    Source: CMS, ICD-9-CM version 32 (fiscal year 2015), the last one; a release in which more
    codes were still valid can be given as a file.
    """
    return _is_listed(code, _icd9("any"), file)


@ready_rule(
    CODE,
    FileParameter(
        "file",
        "code",
        ("codes",),
        read_codes_of(10),
        "the path of a file with a code in each line, and what may follow it",
        packaged_icd10,
        f"ICD-10-CM of fiscal year {LAST_YEAR}",
    ),
    error=ErrorCode.DATA_005,
    warns=True,
)
def icd10_billable(code: Operand, file: ListedCodes) -> str:
    """A diagnosis code is a billable one of ICD-10-CM, with or without its dot.

    Source: CMS, ICD-10-CM of fiscal year 2026 (from 1 October 2025 on);
    another release can be given as a file.
    """
    return _is_listed(code, _icd10("any"), file)


def _is_listed(code: Operand, form: str, file: ListedCodes) -> str:
    """SQL for whether a code has a form and is in the file's list."""
    return (
        f"CASE WHEN NOT regexp_full_match({code.text}, '{form}') THEN false"
        f" WHEN {code.sql} IS NOT NULL THEN {file.contains['codes']} END"
    )


@ready_rule(
    DISCHARGED,
    CODE_SYSTEM,
    Constant("since", day, "the day from which ICD-10-CM is in force", "2015-10-01"),
    error=ErrorCode.TRANS_003,
)
def icd_version_for_date(discharged: Operand, system: Operand, since: str) -> str:
    """Discharges from 1 October 2015 on have codes of ICD-10-CM, earlier ones of ICD-9-CM.

    Code systems of another name pass.

    Source: 45 CFR 162.1002 (b) and (c): ICD-9-CM through 30 September 2015, ICD-10-CM on and
    after 1 October 2015; CMS counts the day of discharge.
    """
    start = Operand(since, DATE)
    old, new = before(discharged, start), not_after(start, discharged)
    return f"CASE {icd_version(system)} WHEN 9 THEN {old} WHEN 10 THEN {new} END"


def icd_version(system: Operand) -> str:
    """SQL for 9 or 10 by the name of a code system, as ICD9CM, I10, 09, FHIR's URI, or the 9 and 0
    of CMS's claims; else NULL."""
    named = r"(HTTP://HL7.ORG/FHIR/SID/)?(ICD|I)?[-_ ]?{}[-_ ]?(CM|C|CDX)?"
    nine, ten = named.replace("{}", "0?9"), named.replace("{}", "10")
    value = f"upper({system.text})"
    return (
        f"CASE WHEN regexp_full_match({value}, '{nine}') THEN 9"
        f" WHEN regexp_full_match({value}, '{ten}|0') THEN 10 END"
    )
