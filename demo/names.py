"""What the people of the demo hospital are called, and where they live.

First and last names stand in falling order of frequency. The telephone numbers made from
these lists use 555-0100 to 555-0199, which are reserved for fiction.
"""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FEMALE = _names(
    "Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Nancy Lisa Margaret"
    " Betty Sandra Ashley Dorothy Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah"
    " Stephanie Rebecca Laura Sharon Cynthia Kathleen Helen Amy Shirley Angela Anna Ruth Brenda"
    " Pamela Nicole Katherine Virginia Catherine Christine Samantha Debra Janet Rachel Carolyn"
    " Emma Maria Heather Diane Julie Joyce Evelyn Victoria Kelly Christina Lauren Joan Frances"
    " Martha Judith Cheryl Megan Andrea Olivia Ann Jean Alice Jacqueline Hannah Doris Kathryn"
    " Gloria Teresa Sara Janice Ana Rosa Renée Zoë Noémi Siobhán Fátima Ngozi Mei-Ling Priya"
)

MALE = _names(
    "James Robert John Michael William David Richard Joseph Thomas Charles Christopher Daniel"
    " Matthew Anthony Donald Mark Paul Steven Andrew Kenneth George Joshua Kevin Brian Edward"
    " Ronald Timothy Jason Jeffrey Ryan Gary Jacob Nicholas Eric Stephen Jonathan Larry Justin"
    " Scott Brandon Frank Benjamin Gregory Samuel Raymond Patrick Alexander Jack Dennis Jerry"
    " Tyler Aaron Henry Douglas Peter Adam Nathan Zachary Walter Kyle Harold Carl Jeremy Gerald"
    " Keith Roger Arthur Terry Lawrence Sean Christian Ethan Austin Joe Albert Willie Jesse Juan"
    " Carlos Luis José André Søren Björn Tomás Chukwuemeka Wei Rajesh Mohammed"
)

LAST = _names(
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez"
    " Gonzalez Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris"
    " Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen"
    " Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Gomez"
    " Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy"
    " Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox"
    " Ward Richardson Watson Brooks Chavez Wood James Bennett Gray Mendoza Ruiz Hughes Price"
    " Alvarez Castillo Sanders Patel Myers Long Ross Foster Jimenez O'Brien O'Connor McCarthy"
    " D'Angelo Muñoz Peña Núñez Müller Schröder Françoise Lefèvre Kowalski Nowak Okafor Adeyemi"
    " Tran Pham Chen Wang Singh Kaur Ali Hussein Cohen Goldberg Smith-Jones Al-Masri"
)

STREETS = (
    "Main St",
    "Oak Ave",
    "Maple Street",
    "Cedar Ln",
    "Washington St",
    "Elm St Apt 4",
    "Lake Shore Dr",
    "Hill Rd",
    "Park Avenue",
    "Church St",
    "Highland Ave, Unit 2B",
    "River Road",
    "Prospect St",
    "Union St",
    "Willow Ct",
)

CITIES = (
    ("Boston", "MA", "021"),
    ("Cambridge", "MA", "021"),
    ("Worcester", "MA", "016"),
    ("Springfield", "MA", "011"),
    ("Lowell", "MA", "018"),
    ("Quincy", "MA", "021"),
    ("Providence", "RI", "029"),
    ("Warwick", "RI", "028"),
    ("Manchester", "NH", "031"),
    ("Nashua", "NH", "030"),
    ("Hartford", "CT", "061"),
    ("Portland", "ME", "041"),
)
"""City, state, and the first three digits of its ZIP codes."""

AREA_CODES = ("617", "508", "413", "401", "603", "860", "207")
