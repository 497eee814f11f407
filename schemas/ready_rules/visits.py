"""Ready rules for what belongs to a visit: its own dates, and the diagnoses made in it.

A diagnosis reads the dates and the patient of its visit through ``take`` of the reference.
"""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.ready_rules.operands import Family, Operand, not_after
from schemas.ready_rules.parameters import FieldParameter
from schemas.ready_rules.rule import ready_rule

ADMITTED = FieldParameter("admitted", Family.MOMENT, "the admission", "admitted_at")
DISCHARGED = FieldParameter("discharged", Family.MOMENT, "the discharge", "discharged_at")


@ready_rule(ADMITTED, DISCHARGED)
def admission_before_discharge(admitted: Operand, discharged: Operand) -> str:
    """Nobody is discharged before being admitted.

    Source: OHDSI Data Quality Dashboard, plausibleStartBeforeEnd.
    """
    return not_after(admitted, discharged)


@ready_rule(
    FieldParameter("date", Family.MOMENT, "the date of the diagnosis", "diagnosed_at"),
    ADMITTED,
    DISCHARGED,
)
def within_visit(date: Operand, admitted: Operand, discharged: Operand) -> str:
    """What is recorded of a visit lies between its admission and its discharge.

    Where one of the two is missing, the other is still held against it.

    Source: OHDSI Data Quality Dashboard, withinVisitDates.
    """
    return f"{not_after(admitted, date)} AND {not_after(date, discharged)}"


@ready_rule(
    FieldParameter("patient", Family.VALUE, "the patient of the row", "patient_id"),
    FieldParameter("visit_patient", Family.VALUE, "the patient of its visit", "visit_patient_id"),
    error=ErrorCode.TRANS_003,
)
def same_patient(patient: Operand, visit_patient: Operand) -> str:
    """A row and the visit that it belongs to are of the same patient.

    Source: HL7 FHIR R4, Condition.encounter and Condition.subject are about one patient.
    """
    return f"{patient.text} = {visit_patient.text}"
