"""ICD-9-CM codes: what people come to a hospital with, and examples of what a GEM leaves open.

The categories are those of the packaged GEM of fiscal year 2018. They are written down here by
hand, code by code, and not computed, so that they can be held against what the migration finds.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.code_maps.code_system import ICD10CM
from schemas.code_maps.packaged_codes import packaged_content, packaged_release

OLDEST = 120


class CommonCode(NamedTuple):
    """A code with one translation (or one cluster), its weight, and whom it befalls."""

    code: str
    weight: float
    sex: str = ""
    youngest: int = 18
    oldest: int = OLDEST


COMMON = (
    CommonCode("401.1", 100),  # essential hypertension
    CommonCode("250.00", 48),  # diabetes
    CommonCode("272.1", 34),  # hyperglyceridemia
    CommonCode("272.2", 14),  # mixed hyperlipidemia
    CommonCode("414.01", 42, youngest=40),  # coronary atherosclerosis
    CommonCode("428.22", 38, youngest=40),  # heart failure
    CommonCode("427.31", 37, youngest=40),  # atrial fibrillation
    CommonCode("530.81", 28),  # esophageal reflux
    CommonCode("584.9", 26, youngest=40),  # acute kidney failure
    CommonCode("585.9", 18, youngest=40),
    CommonCode("585.6", 5, youngest=30),
    CommonCode("403.90", 14, youngest=40),
    CommonCode("244.9", 20, youngest=25),  # hypothyroidism
    CommonCode("599.0", 24, youngest=1),  # urinary tract infection
    CommonCode("486", 20, youngest=1),  # pneumonia
    CommonCode("496", 18, youngest=45),  # chronic airway obstruction
    CommonCode("491.21", 9, youngest=45),
    CommonCode("285.9", 21, youngest=1),  # anemia
    CommonCode("285.1", 10),
    CommonCode("280.9", 8, youngest=1),
    CommonCode("311", 18, youngest=12),  # depression
    CommonCode("300.00", 14, youngest=12),  # anxiety
    CommonCode("305.1", 20, youngest=16),  # tobacco
    CommonCode("V15.82", 16),
    CommonCode("278.00", 13, youngest=6),  # obesity
    CommonCode("278.01", 7),
    CommonCode("327.23", 9, youngest=25),
    CommonCode("276.1", 10),
    CommonCode("276.8", 9),
    CommonCode("276.51", 10, youngest=1),
    CommonCode("276.2", 8),
    CommonCode("038.9", 8),  # septicemia
    CommonCode("995.91", 5),
    CommonCode("995.92", 6),
    CommonCode("412", 9, youngest=40),  # old myocardial infarction
    CommonCode("410.71", 6, youngest=40),
    CommonCode("V45.81", 7, youngest=40),
    CommonCode("V45.82", 8, youngest=40),
    CommonCode("V58.61", 10, youngest=40),
    CommonCode("V58.67", 10),
    CommonCode("434.91", 5, youngest=40),
    CommonCode("V12.54", 5, youngest=40),
    CommonCode("440.20", 3, youngest=50),
    CommonCode("443.9", 5, youngest=50),
    CommonCode("331.0", 4, youngest=60),
    CommonCode("294.20", 4, youngest=60),
    CommonCode("274.9", 6, youngest=30),
    CommonCode("250.60", 5),
    CommonCode("250.40", 4),
    CommonCode("250.02", 6),
    CommonCode("250.01", 4, youngest=5),
    CommonCode("714.0", 3),
    CommonCode("733.00", 7, "F", 50),
    CommonCode("600.00", 10, "M", 50),
    CommonCode("185", 4, "M", 50),
    CommonCode("174.9", 4, "F", 35),
    CommonCode("V10.3", 3, "F", 35),
    CommonCode("162.9", 3, youngest=45),
    CommonCode("786.50", 20, youngest=12),  # chest pain
    CommonCode("789.00", 16, youngest=1),  # abdominal pain
    CommonCode("724.2", 15),  # lumbago
    CommonCode("719.46", 9, youngest=10),
    CommonCode("723.1", 6),
    CommonCode("729.5", 9),
    CommonCode("780.2", 8, youngest=5),
    CommonCode("786.05", 8, youngest=1),
    CommonCode("786.2", 9, youngest=1),
    CommonCode("346.90", 6, youngest=10),
    CommonCode("564.00", 6, youngest=1),
    CommonCode("562.10", 6, youngest=40),
    CommonCode("574.20", 4),
    CommonCode("V14.0", 6, youngest=1),
    CommonCode("820.8", 2, youngest=65),
    CommonCode("V22.0", 6, "F", 18, 44),
    CommonCode("650", 12, "F", 18, 44),  # normal delivery
    CommonCode("V27.0", 14, "F", 18, 44),
    CommonCode("664.01", 5, "F", 18, 44),
    CommonCode("626.2", 4, "F", 18, 50),
    CommonCode("465.9", 60, youngest=1, oldest=60),  # upper respiratory infection
    CommonCode("382.9", 45, youngest=0, oldest=17),  # otitis media
    CommonCode("462", 25, youngest=1, oldest=60),
    CommonCode("466.11", 20, youngest=0, oldest=4),
    CommonCode("493.00", 20, youngest=1, oldest=30),
    CommonCode("V20.2", 60, youngest=0, oldest=17),  # well child
    CommonCode("V04.81", 12, youngest=0),
    CommonCode("692.9", 8, youngest=0),
    CommonCode("873.42", 8, youngest=1, oldest=60),
    CommonCode("813.42", 6, youngest=3),
    CommonCode("314.9", 8, youngest=5, oldest=17),
    CommonCode("V30.00", 90, youngest=0, oldest=0),  # born in the hospital
    CommonCode("V30.01", 40, youngest=0, oldest=0),
    CommonCode("774.6", 50, youngest=0, oldest=0),  # newborn jaundice
    CommonCode("V05.3", 50, youngest=0, oldest=0),
    CommonCode("770.6", 12, youngest=0, oldest=0),
    CommonCode("765.18", 5, youngest=0, oldest=0),
    # Clusters: two ICD-10-CM codes each.
    CommonCode("250.13", 2, youngest=5),
    CommonCode("250.42", 3),
    CommonCode("250.62", 4),
    CommonCode("250.72", 2),
    CommonCode("250.82", 2),
    CommonCode("290.20", 1, youngest=60),
    CommonCode("290.3", 2, youngest=60),
    CommonCode("115.95", 0.2),
    CommonCode("860.1", 0.5, youngest=12),
    CommonCode("881.20", 1, youngest=12),
)

CLUSTERS = {
    "250.13": ("E10.10", "E10.65"),
    "250.42": ("E11.21", "E11.65"),
    "250.62": ("E11.40", "E11.65"),
    "250.72": ("E11.51", "E11.65"),
    "250.82": ("E11.65", "E11.69"),
    "290.20": ("F03.90", "F05"),
    "290.3": ("F03.90", "F05"),
    "115.95": ("B39.9", "J17"),
    "860.1": ("S21.309A", "S27.0XXA"),
    "881.20": ("S51.809A", "S56.929A"),
}
"""The clusters among the common codes, with the codes that they become."""

OUTDATED = ("276.2", "724.2", "786.2")
"""The common codes whose targets (E87.2, M54.5 and R05) have been divided since 2018."""

CHOICE = (
    "272.4",  # hyperlipidemia: E78.4 or E78.5
    "401.9",  # hypertension: I10 or I16.9
    "428.0",  # heart failure: I50.814 or I50.9
    "493.90",  # asthma
    "413.9",  # angina
    "780.79",  # malaise and fatigue
    "784.0",  # headache
    "787.91",  # diarrhea
    "518.81",  # acute respiratory failure
    "424.1",  # aortic valve disorders
    "435.9",  # transient cerebral ischemia
    "357.2",  # polyneuropathy in diabetes
    "571.5",  # cirrhosis
    "275.2",  # disorders of magnesium
    "249.11",  # a cluster with alternatives
    "415.11",  # a cluster with alternatives
    "250.52",  # a cluster with alternatives
    "754.35",  # several scenarios
    "806.00",  # several scenarios
    "666.02",  # single codes and a combination
)
"""Codes of which a GEM gives alternatives, of every kind."""

NO_MAP = (
    "707.20",  # pressure ulcer stages are part of the ulcer's code in ICD-10-CM
    "707.22",
    "707.23",
    "365.70",  # glaucoma stages
    "765.29",
    "779.6",
)

UNKNOWN = (
    "041.4",  # parents of later, longer codes
    "V85.4",
    "250",
    "999.999",
    "E23.0",  # ICD-10-CM
    "401.9, 250.00",  # two codes in one cell
    "428.00",  # a digit too many
    "UNK",
)

EXTERNAL_CAUSES = ("E888.9", "E885.9", "E880.9", "E812.0", "E849.0")
"""Right as a further diagnosis, and out of place as the first."""


def single_target_codes() -> list[str]:
    """Every ICD-9-CM code to which the packaged GEM gives one target that is a code still, with its
    dot.

    E-codes are left out, as they are no first diagnosis.
    """
    gem = packaged_content("2018_I9gem.txt").decode().splitlines()
    current = set(packaged_release(ICD10CM).codes.to_pylist())
    count: dict[str, int] = {}
    for line in gem:
        count[line[:5]] = count.get(line[:5], 0) + 1
    return [
        dotted(line[:5].strip())
        for line in gem
        if count[line[:5]] == 1 and line[6:13].strip() in current and line[0] != "E"
    ]


def dotted(code: str) -> str:
    """An ICD-9-CM code with the dot after its third character, of an E-code its fourth."""
    place = 4 if code.startswith("E") else 3
    return code if len(code) <= place else f"{code[:place]}.{code[place:]}"
