"""The ready rules, each on one row in plain Python.

A rule takes what its parameters became: a field as Read, a constant as the specification has
it, a file as its lists. It gives True, False, or None where it can't say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from tests.oracle.calendar import DATE_INFINITY, DAY, TIMESTAMP_INFINITY, date_of, days_of
from tests.oracle.values import Type, Value

Verdict = bool | None


class Read(NamedTuple):
    value: Value
    type: Type

    @property
    def text(self) -> str | None:
        if self.value is None:
            return None
        if isinstance(self.value, Decimal):
            return f"{self.value.normalize():f}"
        return str(self.value)


@dataclass(frozen=True)
class Rule:
    """``fields`` are the parameters that name fields, with their usual names; one whose usual
    name is None may be left out. ``constants`` are the others with their defaults."""

    fields: Mapping[str, str | None]
    decide: Callable[..., Verdict]
    constants: Mapping[str, Any] = field(default_factory=dict)
    code: str = "DATA-001"
    warns: bool = False
    if_there: frozenset[str] = frozenset()

    def names(self, given: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, str | None]:
        """The field of each parameter; ``there`` are the fields of the load."""
        found = {name: given.get(name, usual) for name, usual in self.fields.items()}
        for name in self.if_there:
            if name not in given and found[name] not in there:
                found[name] = None
        return found

    def holds(
        self, given: Mapping[str, Any], read: Mapping[str, Read | None], **more: Any
    ) -> Verdict:
        constants = {name: given.get(name, usual) for name, usual in self.constants.items()}
        return self.decide(**read, **constants, **more)


# -- numbers --------------------------------------------------------------------------------------


def _all_digits(text: str) -> bool:
    return bool(text) and all(c in "0123456789" for c in text)


def luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        count = int(digit)
        if place % 2 == 1:
            count *= 2
            if count > 9:
                count -= 9
        total += count
    return total % 10 == 0


def mod11(number: str) -> bool:
    weights, total = [2, 3, 4, 5, 6, 7], 0
    for place, digit in enumerate(reversed(number[:-1])):
        total += int(digit) * weights[place % 6]
    rest = total % 11 or 1
    return (11 - rest) % 10 == int(number[-1])


def _npi(field: Read) -> Verdict:
    text = field.text
    if text is None:
        return None
    return len(text) == 10 and _all_digits(text) and luhn("80840" + text)


def _ssn(field: Read) -> Verdict:
    text = field.text
    if text is None:
        return None
    if not isinstance(field.value, str):
        text = text.zfill(9) if _all_digits(text) else text
    elif len(text) == 11:
        if text[3] != "-" or text[6] != "-":
            return False
        text = text[:3] + text[4:6] + text[7:]
    if len(text) != 9 or not _all_digits(text):
        return False
    area, group, serial = text[:3], text[3:5], text[5:]
    return not (area in ("000", "666") or area >= "900" or group == "00" or serial == "0000")


def _mrn_format(field: Read, pattern: str) -> Verdict:
    text = field.text
    return None if text is None else re.fullmatch(pattern, text) is not None


def _check_digit(field: Read, method: str) -> Verdict:
    text = field.text
    if text is None:
        return None
    if not isinstance(field.value, str) and len(text) == 1:
        text = "0" + text
    if not 2 <= len(text) <= 18 or not _all_digits(text):
        return False
    return luhn(text) if method == "mod10" else mod11(text)


# -- moments --------------------------------------------------------------------------------------

QUARTERS = [quarter * DAY // 96 for quarter in range(-12 * 4, 14 * 4 + 1)]
"""How far the local times of the world are before UTC, in microseconds."""


def _day(microseconds: int) -> int:
    if abs(microseconds) == TIMESTAMP_INFINITY:
        return DATE_INFINITY if microseconds > 0 else -DATE_INFINITY
    return microseconds // DAY


def _moved(microseconds: int, by: int) -> int:
    return microseconds if abs(microseconds) == TIMESTAMP_INFINITY else microseconds + by


def _pairs(one: Read, other: Read) -> Iterator[tuple[int, int]]:
    """Both on one scale, in every way that the zones which aren't known allow."""
    first, second = one.value, other.value
    assert isinstance(first, int)
    assert isinstance(second, int)
    kinds = (one.type.name, other.type.name)
    for zone in QUARTERS:
        a, b = first, second
        if "date" in kinds:
            if kinds[0] != "date":
                a = _day(_moved(a, zone) if kinds[0] == "timestamptz" else a)
            if kinds[1] != "date":
                b = _day(_moved(b, zone) if kinds[1] == "timestamptz" else b)
        elif kinds == ("timestamp", "timestamptz"):
            a = _moved(a, -zone)
        elif kinds == ("timestamptz", "timestamp"):
            b = _moved(b, -zone)
        yield a, b


def not_after(one: Read, other: Read) -> Verdict:
    if one.value is None or other.value is None:
        return None
    return any(a <= b for a, b in _pairs(one, other))


def before(one: Read, other: Read) -> Verdict:
    if one.value is None or other.value is None:
        return None
    return any(a < b for a, b in _pairs(one, other))


def both(one: Verdict, other: Verdict) -> Verdict:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _utc_day(moment: Read) -> int | None:
    if moment.value is None:
        return None
    assert isinstance(moment.value, int)
    return moment.value if moment.type.name == "date" else _day(moment.value)


def _read_day(text: str) -> int:
    if text == "infinity":
        return DATE_INFINITY
    year, month, day = map(int, text.split("-"))
    found = days_of(year, month, day)
    assert found is not None
    return found


def _age(born: int | None, on: int | None) -> int | None:
    if born is None or on is None or on < born:
        return None
    if DATE_INFINITY in (abs(born), abs(on)):
        return None
    (year, *birthday), (now, *today) = date_of(born), date_of(on)
    return now - year - (today < birthday)


def _not_after_death(date: Read, death: Read, days: str) -> Verdict:
    if isinstance(death.value, int):
        is_date = death.type.name == "date"
        if abs(death.value) != (DATE_INFINITY if is_date else TIMESTAMP_INFINITY):
            death = Read(death.value + int(days) * (1 if is_date else DAY), death.type)
    return not_after(date, death)


def _age_at_most(birth: Read, death: Read | None, years: str, started_at: Read) -> Verdict:
    on = None if death is None else _utc_day(death)
    age = _age(_utc_day(birth), _utc_day(started_at) if on is None else on)
    return None if age is None else age <= int(years)


def _no_sentinel_date(date: Read, values: list[str]) -> Verdict:
    day = _utc_day(date)
    return None if day is None else day not in [_read_day(value) for value in values]


# -- codes ----------------------------------------------------------------------------------------


def _is_icd9(text: str, notation: str) -> bool:
    stem = 4 if text[:1] == "E" else 3
    head, rest = text[:stem], text[stem:]
    if not _all_digits(head[1:] if head[:1] in ("E", "V") else head) or len(head) < stem:
        return False
    if rest:
        dotted = rest[0] == "."
        if dotted != (notation == "dotted") and notation != "any":
            return False
        rest = rest[1:] if dotted else rest
        return _all_digits(rest) and len(rest) <= (1 if stem == 4 else 2)
    return True


def _is_icd10(text: str, notation: str) -> bool:
    capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    signs = capitals + "0123456789"
    head, rest = text[:3], text[3:]
    if len(head) < 3 or head[0] not in capitals or head[1] not in signs[26:]:
        return False
    if head[2] not in signs:
        return False
    if rest:
        dotted = rest[0] == "."
        if dotted != (notation == "dotted") and notation != "any":
            return False
        rest = rest[1:] if dotted else rest
        return 1 <= len(rest) <= 4 and all(c in signs for c in rest)
    return True


def _undotted(text: str) -> str:
    return text.strip().replace(".", "").upper()


def _formed(is_code: Callable[[str, str], bool]) -> Callable[..., Verdict]:
    def decide(code: Read, notation: str) -> Verdict:
        return None if code.text is None else is_code(code.text, notation)

    return decide


def _listed(is_code: Callable[[str, str], bool]) -> Callable[..., Verdict]:
    def decide(code: Read, lists: Mapping[str, frozenset[str]]) -> Verdict:
        if code.text is None:
            return None
        return is_code(code.text, "any") and _undotted(code.text) in lists["codes"]

    return decide


def version_of(system: Read) -> int | None:
    text = (system.text or "").upper().replace("HTTP://HL7.ORG/FHIR/SID/", "")
    named = re.fullmatch(r"(?:ICD|I|)[-_ ]?(09|9|10)[-_ ]?(?:CDX|CM|C|)", text, re.ASCII)
    if text == "0":
        return 10
    return int(named[1]) if named else None


def fiscal_year(moment: Read) -> int:
    """The year of the US government, the earliest that it can be in any time zone."""
    assert isinstance(moment.value, int)
    if moment.value in (DATE_INFINITY, TIMESTAMP_INFINITY):
        return 9999
    days = moment.value
    if moment.type.name == "timestamptz":
        days = _day(moment.value - 12 * 3_600_000_000)
    elif moment.type.name == "timestamp":
        days = _day(moment.value)
    year, month, _ = date_of(days)
    return min(year + (month >= 10), 9999)


CUTOVER = Read(_read_day("2015-10-01"), Type("date"))


def _icd_version_for_date(discharged: Read, system: Read, since: str) -> Verdict:
    start = Read(_read_day(since), Type("date"))
    version = version_of(system)
    if version is None:
        return None
    return before(discharged, start) if version == 9 else not_after(start, discharged)


# -- the Medicare Code Editor: ``lists`` has sets by name, ``system`` and ``version`` -------------


def _conflict(code: Read, lists: Mapping[str, Any], name: str) -> bool:
    return code.text is not None and _undotted(code.text) in lists[name]


def _concerns(system: Read | None, lists: Mapping[str, Any]) -> bool:
    return system is None or version_of(system) == lists["system"]


def _mce_sex_conflict(
    code: Read,
    sex: Read,
    system: Read | None,
    male: list[str],
    female: list[str],
    lists: Mapping[str, Any],
) -> Verdict:
    if not _concerns(system, lists):
        return None
    his, hers = _conflict(code, lists, "Male_Only"), _conflict(code, lists, "Female_Only")
    return not (his and sex.text in female) and not (hers and sex.text in male)


def _mce_age_conflict(
    code: Read,
    birth: Read,
    at: Read,
    system: Read | None,
    maternity: str | None,
    lists: Mapping[str, Any],
) -> Verdict:
    age = _age(_utc_day(birth), _utc_day(at))
    if age is None or not _concerns(system, lists):
        return None
    mothers = maternity or ("12-55" if lists["version"] <= 35 else "9-64")
    youngest, oldest = map(int, mothers.split("-"))
    return not (
        (_conflict(code, lists, "Newborn_Only") and age > 0)
        or (_conflict(code, lists, "Pediatric_Only") and age > 17)
        or (_conflict(code, lists, "Maternity_Only") and not youngest <= age <= oldest)
        or (_conflict(code, lists, "Adult_Only") and not 15 <= age <= 124)
    )


def _principal(name: str) -> Callable[..., Verdict]:
    def decide(
        code: Read,
        position: Read | None,
        system: Read | None,
        principal: str,
        lists: Mapping[str, Any],
    ) -> Verdict:
        first = position is None or position.text == principal
        return not (_concerns(system, lists) and first and _conflict(code, lists, name))

    return decide


def _external_cause_principal(
    code: Read, position: Read | None, system: Read, principal: str
) -> Verdict:
    if position is not None and position.text != principal:
        return True
    initials = {9: "Ee", 10: "VWXYvwxy"}.get(version_of(system) or 0, "")
    return not (code.text and code.text[0] in initials)


# -- text -----------------------------------------------------------------------------------------


def _no_control_characters(field: Read, line_breaks: str) -> Verdict:
    if field.text is None:
        return None
    let_pass = "\t\n\r" if line_breaks == "true" else ""
    return not any(unicodedata.category(c) == "Cc" and c not in let_pass for c in field.text)


def _text_length(field: Read, least: str, most: str) -> Verdict:
    return None if field.text is None else int(least) <= len(field.text) <= int(most)


def _one_of(field: Read, values: list[str]) -> Verdict:
    return None if field.text is None else field.text in values


def _same_patient(patient: Read, visit_patient: Read) -> Verdict:
    if patient.text is None or visit_patient.text is None:
        return None
    return patient.text == visit_patient.text


WARNING: dict[str, Any] = {"code": "DATA-005", "warns": True}
VISIT = {"admitted": "admitted_at", "discharged": "discharged_at"}
PLACE = {"code": "code", "position": "position"}
FIRST = {"principal": "1"}

READY_RULES = {
    "npi": Rule({"field": "npi"}, _npi),
    "ssn": Rule({"field": "ssn"}, _ssn),
    "mrn_format": Rule({"field": "mrn"}, _mrn_format, {"pattern": None}),
    "check_digit": Rule({"field": "mrn"}, _check_digit, {"method": "mod10"}),
    "birth_before_death": Rule(
        {"birth": "birth_date", "death": "death_date"},
        lambda birth, death: not_after(birth, death),
    ),
    "not_before_birth": Rule(
        {"date": None, "birth": "birth_date"}, lambda date, birth: not_after(birth, date)
    ),
    "not_after_death": Rule({"date": None, "death": "death_date"}, _not_after_death, {"days": "0"}),
    "not_in_future": Rule({"date": None}, lambda date, started_at: not_after(date, started_at)),
    "age_at_most": Rule(
        {"birth": "birth_date", "death": "death_date"},
        _age_at_most,
        {"years": "124"},
        if_there=frozenset({"death"}),
    ),
    "no_sentinel_date": Rule(
        {"date": None}, _no_sentinel_date, {"values": ["1900-01-01", "9999-12-31"]}, **WARNING
    ),
    "admission_before_discharge": Rule(
        VISIT, lambda admitted, discharged: not_after(admitted, discharged)
    ),
    "within_visit": Rule(
        {"date": "diagnosed_at", **VISIT},
        lambda date, admitted, discharged: both(
            not_after(admitted, date), not_after(date, discharged)
        ),
    ),
    "same_patient": Rule(
        {"patient": "patient_id", "visit_patient": "visit_patient_id"},
        _same_patient,
        code="TRANS-003",
    ),
    "icd9_format": Rule({"code": "code"}, _formed(_is_icd9), {"notation": "any"}),
    "icd10_format": Rule({"code": "code"}, _formed(_is_icd10), {"notation": "any"}),
    "icd9_valid": Rule({"code": "code"}, _listed(_is_icd9)),
    "icd10_billable": Rule({"code": "code"}, _listed(_is_icd10), **WARNING),
    "icd_version_for_date": Rule(
        {"discharged": "discharged_at", "system": "code_system"},
        _icd_version_for_date,
        {"since": "2015-10-01"},
        code="TRANS-003",
    ),
    "mce_sex_conflict": Rule(
        {"code": "code", "sex": "sex", "system": None},
        _mce_sex_conflict,
        {"male": ["M"], "female": ["F"]},
        **WARNING,
    ),
    "mce_age_conflict": Rule(
        {"code": "code", "birth": "birth_date", "at": "admitted_at", "system": None},
        _mce_age_conflict,
        {"maternity": None},
        **WARNING,
    ),
    "mce_manifestation_principal": Rule(
        {**PLACE, "system": None}, _principal("Principal_Manifestation"), FIRST, **WARNING
    ),
    "mce_unacceptable_principal": Rule(
        {**PLACE, "system": None}, _principal("Principal_Unacceptable"), FIRST, **WARNING
    ),
    "external_cause_principal": Rule(
        {**PLACE, "system": "code_system"}, _external_cause_principal, FIRST, **WARNING
    ),
    "no_control_characters": Rule(
        {"field": None}, _no_control_characters, {"line_breaks": "false"}, **WARNING
    ),
    "text_length": Rule({"field": None}, _text_length, {"least": "1", "most": None}),
    "one_of": Rule({"field": None}, _one_of, {"values": None}),
    "sex": Rule({"field": "sex"}, _one_of, {"values": ["F", "M", "O", "U", "A", "N"]}),
}

NEED_THE_TIME = {"not_in_future", "age_at_most"}
"""The rules that look at the start of the job."""
