"""Ready rules of the Medicare Code Editor (MCE): sex, age and place of a diagnosis code.

They warn: the editor finds claims to be looked at, and a rare patient may well have such a
code. Its lists are read from a file; codes are compared without dots.
"""

from __future__ import annotations

from schemas.code_maps.code_files import read_mce
from schemas.errors import ErrorCode
from schemas.ready_rules.codes import CODE, CODE_SYSTEM, icd_version
from schemas.ready_rules.dates import BIRTH
from schemas.ready_rules.operands import Family, ListedCodes, Operand, age_in_years
from schemas.ready_rules.parameters import (
    Constant,
    FieldParameter,
    FileParameter,
    text,
    texts,
    years,
)
from schemas.ready_rules.rule import ready_rule
from schemas.ready_rules.visits import ADMITTED
from schemas.sql.expressions import literal

SYSTEM = FieldParameter(
    "system",
    Family.VALUE,
    "the code system of the row; left out, all codes are of the file's",
    optional=True,
    constants=CODE_SYSTEM.constants,
)
POSITION = FieldParameter(
    "position",
    Family.VALUE,
    "the place of the diagnosis, or '~' where each is a principal one",
    "position",
    optional=True,
)
PRINCIPAL = Constant("principal", text, "the place of a principal diagnosis", "1")

NEWBORN, PEDIATRIC, ADULT = (0, 0), (0, 17), (15, 124)
"""Ages in years. Source: CMS, Definitions of Medicare Code Edits, edit 4."""

MATERNITY_UNTIL_V35, MATERNITY_SINCE_V36 = (12, 55), (9, 64)
"""The range was widened with version 36 (fiscal year 2019)."""


def _lists(*names: str) -> FileParameter:
    message = "the path of a file of the editor's simple edits (MCE_Simple_Code_Edits_v32.txt)"
    return FileParameter("file", "code", names, read_mce, message)


def _of_system(condition: str, system: Operand | None, file: ListedCodes) -> str:
    """The condition for rows of the file's code system; NULL for others."""
    if system is None:
        return condition
    return f"CASE WHEN {icd_version(system)} = {file.system} THEN {condition} END"


def _is_listed(code: Operand, file: ListedCodes, name: str) -> str:
    return f"({code.sql} IS NOT NULL AND {file.contains[name]})"


def _not_principal(condition: str, position: Operand | None, principal: str) -> str:
    """SQL that is false for a principal diagnosis of which the condition holds."""
    place = "true" if position is None else f"{position.text} = {literal(principal)}"
    return f"NOT ({place} AND {condition})"


@ready_rule(
    CODE,
    FieldParameter("sex", Family.VALUE, "the patient's sex", "sex"),
    _lists("Female_Only", "Male_Only"),
    Constant("male", texts, "the values that say male", ["M"]),
    Constant("female", texts, "the values that say female", ["F"]),
    SYSTEM,
    error=ErrorCode.DATA_005,
    warns=True,
)
def mce_sex_conflict(
    code: Operand,
    sex: Operand,
    file: ListedCodes,
    male: list[str],
    female: list[str],
    system: Operand | None,
) -> str:
    """A diagnosis that only women or only men have is of a patient of that sex.

    Patients of another or of unknown sex pass.

    Source: CMS, Medicare Code Editor, edit 5 (sex conflict), lists Female_Only and Male_Only.
    """
    women, men = (f"{sex.text} IN ({', '.join(map(literal, v))})" for v in (female, male))
    condition = (
        f"NOT ({men} AND {_is_listed(code, file, 'Female_Only')})"
        f" AND NOT ({women} AND {_is_listed(code, file, 'Male_Only')})"
    )
    return _of_system(condition, system, file)


@ready_rule(
    CODE,
    BIRTH,
    FieldParameter("at", ADMITTED.family, "the day to which the age counts", ADMITTED.usual),
    _lists("Newborn_Only", "Pediatric_Only", "Maternity_Only", "Adult_Only"),
    Constant(
        "maternity",
        years,
        "the ages of mothers; left out, 12-55 up to version 35 of the file and 9-64 after it",
        optional=True,
        example_text="12-55",
    ),
    SYSTEM,
    error=ErrorCode.DATA_005,
    warns=True,
)
def mce_age_conflict(
    code: Operand,
    birth: Operand,
    at: Operand,
    file: ListedCodes,
    maternity: tuple[int, int] | None,
    system: Operand | None,
) -> str:
    """A diagnosis of newborns (0 years), children (0 to 17), mothers (12 to 55, later 9 to 64) or
    adults (15 to 124) is of a patient of that age.

    Source: CMS, Medicare Code Editor, edit 4 (age conflict), lists Newborn_Only, Pediatric_Only,
    Maternity_Only and Adult_Only.
    """
    usual = MATERNITY_UNTIL_V35 if file.version < 36 else MATERNITY_SINCE_V36
    ranges = {
        "Newborn_Only": NEWBORN,
        "Pediatric_Only": PEDIATRIC,
        "Maternity_Only": maternity or usual,
        "Adult_Only": ADULT,
    }
    age = age_in_years(birth, at.date)
    condition = " AND ".join(
        f"NOT ({_is_listed(code, file, name)} AND {age} NOT BETWEEN {low} AND {high})"
        for name, (low, high) in ranges.items()
    )
    # Who isn't born yet has no age, and a rule of its own.
    return _of_system(f"{at.date} < {birth.date} OR ({condition})", system, file)


@ready_rule(
    CODE,
    _lists("Principal_Manifestation"),
    POSITION,
    PRINCIPAL,
    SYSTEM,
    error=ErrorCode.DATA_005,
    warns=True,
)
def mce_manifestation_principal(
    code: Operand,
    file: ListedCodes,
    position: Operand | None,
    principal: str,
    system: Operand | None,
) -> str:
    """The principal diagnosis isn't the manifestation of an underlying disease.

    Source: CMS, Medicare Code Editor, edit 6, list Principal_Manifestation.
    """
    listed = _is_listed(code, file, "Principal_Manifestation")
    return _of_system(_not_principal(listed, position, principal), system, file)


@ready_rule(
    CODE,
    _lists("Principal_Unacceptable"),
    POSITION,
    PRINCIPAL,
    SYSTEM,
    error=ErrorCode.DATA_005,
    warns=True,
)
def mce_unacceptable_principal(
    code: Operand,
    file: ListedCodes,
    position: Operand | None,
    principal: str,
    system: Operand | None,
) -> str:
    """The principal diagnosis isn't a circumstance that influences health and no illness itself,
    such as the V codes of the list.

    Source: CMS, Medicare Code Editor, edit 9, list Principal_Unacceptable.
    """
    listed = _is_listed(code, file, "Principal_Unacceptable")
    return _of_system(_not_principal(listed, position, principal), system, file)


@ready_rule(
    CODE,
    POSITION,
    PRINCIPAL,
    CODE_SYSTEM,
    error=ErrorCode.DATA_005,
    warns=True,
)
def external_cause_principal(
    code: Operand, position: Operand | None, principal: str, system: Operand
) -> str:
    """The principal diagnosis isn't an external cause: an E code of ICD-9-CM, or a code of
    ICD-10-CM that begins with V, W, X or Y.

    Source: CMS, Medicare Code Editor, edit 2 (external cause as principal diagnosis).
    """
    external = (
        f"CASE {icd_version(system)} WHEN 9 THEN {code.text} ILIKE 'E%'"
        f" WHEN 10 THEN upper(left({code.text}, 1)) IN ('V', 'W', 'X', 'Y') END"
    )
    return _not_principal(external, position, principal)
