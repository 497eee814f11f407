"""The faults: what a migration with ``demo/hospital.yaml`` must find, one function a kind.

A fault is put on rows that are sound otherwise, and says which violations it must give. A
kind that spoils several fields of a row gives all of theirs. What follows for other rows,
such as the visits of a patient who is rejected, is worked out in ``demo.truth``.
"""

from __future__ import annotations

from demo.faults import allergy_faults, diagnosis_faults, patient_faults, visit_faults

FAULTS = [
    *patient_faults.FAULTS,
    *visit_faults.FAULTS,
    *diagnosis_faults.FAULTS,
    *allergy_faults.FAULTS,
]
"""In the order in which they are put; what is chosen at random depends on it."""
