"""The specification of the demo worked through by hand, one row at a time, in plain Python.

It reads the rows of the legacy hospital and knows nothing of the faults, so that it can
be held against their list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from demo.diagnosis_codes import OUTDATED
from schemas.code_maps.gem import GemCategory
from schemas.code_maps.gem_file import packaged_gem

Row = dict[str, Any]
Found = set[tuple[str, str, str, "str | None"]]
"""Table, source key, code, rule; the rule is None where the specification names none."""

CLUSTERED = {GemCategory.EXACT, GemCategory.APPROXIMATE, GemCategory.CLUSTER}
MOMENTS = ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M")
VISIT_TYPES = {"I", "1", "O", "2", "E", "3"}


class Unreadable(ValueError):
    pass


def text(value: str | None) -> str | None:
    return None if value is None or not value.strip() else value


def moment(value: str | None, formats: Iterable[str]) -> datetime | None:
    if value is None or text(value) is None:
        return None
    readings = [reading for f in formats if (reading := _read(value.strip(), f)) is not None]
    if not readings:
        raise Unreadable
    return readings[0]


def _read(value: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(value, pattern)
    except ValueError:
        return None


def whole_number(value: str | None, limit: int) -> int | None:
    if value is None or text(value) is None:
        return None
    if not re.fullmatch(r"[+-]?[0-9]+", value.strip()) or abs(int(value)) > limit:
        raise Unreadable
    return int(value)


def money(value: str | None) -> Decimal | None:
    if value is None or text(value) is None:
        return None
    plain = value.replace("$", "").replace(",", "")
    if not re.fullmatch(r"[+-]?[0-9]{1,8}(\.[0-9]{1,2})?", plain):
        raise Unreadable
    return Decimal(plain)


def violations(tables: dict[str, list[Row]], earlier: set[str], started: date) -> Found:
    """All violations of the legacy tables, whose rows are given by table."""
    found: Found = set()
    people = _Patients(tables["legacy_patients"], earlier, started, found)
    facilities = {row["fac_cd"] for row in tables["legacy_facilities"]}
    visits = _visits(tables["legacy_visits"], people, facilities, found)
    _diagnoses(tables["legacy_diagnoses"], visits, people, found)
    _allergies(tables["legacy_allergies"], people, found)
    return found


class _Patients:
    """What became of the patients: ``accepted`` by id with their rows, and the ``skipped``."""

    def __init__(self, rows: list[Row], earlier: set[str], started: date, found: Found) -> None:
        self.accepted: dict[str, Row] = {}
        self.skipped: set[str] = set()
        winners: dict[str, Row] = {}
        live = []
        for row in rows:
            if row["del_flag"] == "Y" or (row["pat_lname"] or "").strip().upper() == "ZZTEST":
                self.skipped.add(row["pat_id"])
                continue
            live.append(row)
            pat_id = text(row["pat_id"])
            if pat_id is not None:
                best = winners.setdefault(pat_id, row)
                if row["updated_at"] > best["updated_at"]:
                    winners[pat_id] = row
        for row in live:
            wrong = _patient(row, started)
            pat_id = text(row["pat_id"])
            if pat_id is not None and (winners[pat_id] is not row or pat_id in earlier):
                wrong.append(("DATA-004", None))
            for code, rule in wrong:
                found.add(("legacy_patients", str(row["id"]), code, rule))
            if all(code == "DATA-005" for code, _ in wrong):
                self.accepted[row["pat_id"]] = row
        self._reject_motherless(live, found)

    def _reject_motherless(self, live: list[Row], found: Found) -> None:
        changed = True
        while changed:
            changed = False
            for row in live:
                mother = row["mother_pat_id"]
                if mother is not None and mother not in self.accepted:
                    found.add(("legacy_patients", str(row["id"]), "DATA-002", "mother_id.ref"))
                    if self.accepted.get(row["pat_id"]) is row:
                        del self.accepted[row["pat_id"]]
                        changed = True


def _patient(row: Row, started: date) -> list[tuple[str, str | None]]:
    wrong: list[tuple[str, str | None]] = []
    if text(row["pat_id"]) is None:
        wrong.append(("DATA-001", "PATIENT_ID_REQUIRED"))
    if text(row["pat_lname"]) is None:
        wrong.append(("DATA-001", "LAST_NAME_REQUIRED"))
    if len(row["pat_lname"] or "") > 40 or len(row["pat_fname"] or "") > 40:
        wrong.append(("DATA-003", "name"))
    born = None
    try:
        born = moment(row["dob"], ("%m/%d/%Y", "%Y%m%d"))
        if born is None:
            wrong.append(("DATA-001", "BIRTH_DATE_REQUIRED"))
        elif born.date() > started:
            wrong.append(("DATA-001", "BIRTH_NOT_IN_FUTURE"))
    except Unreadable:
        wrong.append(("DATA-003", "birth_date.type"))
    if (row["sex"] or "").strip().upper() not in ("M", "F", "1", "2"):
        wrong.append(("TRANS-002", "sex.map"))
    if row["weight_lb"] is not None:
        try:
            weight = round(float(row["weight_lb"]) * 0.45359237, 1)
            if not 0.3 <= weight <= 400:
                wrong.append(("TRANS-003", "WEIGHT_IS_PLAUSIBLE"))
        except ValueError:
            wrong.append(("TRANS-005", None))
    if len(row["state"] or "") > 2:
        wrong.append(("DATA-003", "state.type"))
    if len(re.sub(r"\D", "", row["phone"] or "")) > 15:
        wrong.append(("DATA-003", "phone.type"))
    if row["zip"] is not None and not re.fullmatch(r"[0-9]{5}(-[0-9]{4})?", row["zip"]):
        wrong.append(("DATA-005", "ZIP_LOOKS_RIGHT"))
    if not wrong and born is not None and born < datetime(1890, 1, 1):
        wrong.append(("TRANS-004", None))
    return wrong


def _visits(
    rows: list[Row], people: _Patients, facilities: set[str], found: Found
) -> dict[int, str | None]:
    """For each visit its patient if it was accepted, None if not; skipped ones are absent."""
    reached: dict[int, str | None] = {}
    for row in rows:
        patient = row["pat_id"].strip()
        if row["status"] == "X" or patient in people.skipped:
            continue
        wrong: list[tuple[str, str | None]] = []
        parent = people.accepted.get(patient)
        if parent is None:
            wrong.append(("DATA-002", "patient_id.ref"))
        if (row["visit_type"] or "").strip().upper() not in VISIT_TYPES:
            wrong.append(("TRANS-002", "encounter_class.map"))
        admitted = discharged = charges = None
        try:
            admitted = moment(row["admit_dt"], MOMENTS)
            if admitted is None:
                wrong.append(("DATA-001", "ADMISSION_REQUIRED"))
        except Unreadable:
            wrong.append(("DATA-003", "admitted_at.type"))
        try:
            discharged = moment(row["disch_dt"], MOMENTS)
        except Unreadable:
            wrong.append(("DATA-003", "discharged_at.type"))
        try:
            charges = money(row["charges"])
        except Unreadable:
            wrong.append(("DATA-003", "total_charges.type"))
        if admitted is not None and parent is not None:
            born = moment(parent["dob"], ("%m/%d/%Y", "%Y%m%d"))
            if born is not None and admitted < born:
                wrong.append(("DATA-001", "ADMITTED_AFTER_BIRTH"))
        if admitted is not None and discharged is not None:
            if discharged < admitted:
                wrong.append(("TRANS-003", "DISCHARGED_AFTER_ADMISSION"))
            if discharged > admitted + timedelta(days=365):
                wrong.append(("DATA-005", "STAY_UNDER_A_YEAR"))
        rejected = any(code != "DATA-005" for code, _ in wrong)
        if not rejected and charges is not None and charges < 0:
            wrong.append(("TRANS-004", None))
            rejected = True
        if text(row["fac_cd"]) is not None and row["fac_cd"] not in facilities:
            wrong.append(("DATA-002", "facility_code.ref"))
        for code, rule in wrong:
            found.add(("legacy_visits", str(row["visit_id"]), code, rule))
        reached[row["visit_id"]] = None if rejected else patient
    skipped = {row["visit_id"] for row in rows} - set(reached)
    people.skipped |= {f"visit {visit_id}" for visit_id in skipped}
    return reached


def _diagnoses(
    rows: list[Row], visits: dict[int, str | None], people: _Patients, found: Found
) -> None:
    gem = packaged_gem("icd9_to_icd10")
    category = {
        code: GemCategory(name)
        for code, name in zip(
            gem.codes.column("source_code").to_pylist(),
            gem.codes.column("category").to_pylist(),
            strict=True,
        )
    }
    for row in rows:
        is_skipped = f"visit {row['visit_id']}" in people.skipped or row["pat_id"] in people.skipped
        if row["del_flag"] == "Y" or is_skipped:
            continue
        wrong: list[tuple[str, str | None]] = []
        patient = visits.get(row["visit_id"])
        if patient is None:
            wrong.append(("DATA-002", "encounter_id.ref"))
        elif patient != row["pat_id"]:
            wrong.append(("TRANS-003", "PATIENT_OF_THE_VISIT"))
        if row["pat_id"] not in people.accepted:
            wrong.append(("DATA-002", "patient_id.ref"))
        code = text(row["diagnosis_code"])
        if code is None:
            wrong.append(("DATA-001", "DIAGNOSIS_CODE_REQUIRED"))
        elif category.get(_undotted(code)) not in CLUSTERED:
            wrong.append(("TRANS-002", "code.map"))
        elif code in OUTDATED:
            wrong.append(("DATA-005", "code.map"))
        try:
            rank = whole_number(row["seq_no"], 32767)
            if rank == 1 and re.match(r"E[0-9]{3}", code or ""):
                wrong.append(("DATA-005", "FIRST_IS_NO_EXTERNAL_CAUSE"))
        except Unreadable:
            wrong.append(("DATA-003", "rank.type"))
        for error, rule in wrong:
            found.add(("legacy_diagnoses", str(row["diag_id"]), error, rule))


def _undotted(code: str) -> str:
    place = 4 if code.startswith("E") else 3
    return code[:place] + code[place + 1 :] if code[place : place + 1] == "." else code


def _allergies(rows: list[Row], people: _Patients, found: Found) -> None:
    for row in rows:
        if row["pat_id"] in people.skipped:
            continue
        wrong: list[tuple[str, str | None]] = []
        if row["pat_id"] not in people.accepted:
            wrong.append(("DATA-002", "patient_id.ref"))
        if text(row["allergen"]) is None:
            wrong.append(("DATA-001", "ALLERGEN_REQUIRED"))
        if len((row["reaction"] or "").strip()) > 40:
            wrong.append(("DATA-003", "reaction.type"))
        try:
            moment(row["onset"], ("%m/%d/%Y",))
        except Unreadable:
            wrong.append(("DATA-003", "onset_date.type"))
        for code, rule in wrong:
            found.add(("legacy_allergies", str(row["allergy_no"]), code, rule))
