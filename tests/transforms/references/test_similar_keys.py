"""A reference whose parent has the same key in another spelling: rejected, with that reason."""

from __future__ import annotations

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run_json

LEGACY = """
CREATE TABLE doctors (id int PRIMARY KEY, code text);
INSERT INTO doctors VALUES (1, 'Mueller'), (2, 'D 7'), (3, E'Gr\\u00fcn'), (4, 'Dr A'), (5, 'dr a'),
    (6, NULL), (7, 'Rejected');
CREATE TABLE visits (id int PRIMARY KEY, doctor text);
INSERT INTO visits VALUES (1, 'Mueller'), (2, 'MUELLER'), (3, E'\\u00a0Mueller'),
    (4, E'Mueller\\ufeff'), (5, E'D\\u00a07'), (6, E'Gru\\u0308n'), (7, E' gru\\u0308n'),
    (8, 'DR A'), (9, 'Muller'), (10, NULL), (11, 'rejected');
"""

TARGET = """
CREATE TABLE doctors (code text PRIMARY KEY, CHECK (code <> 'Rejected'));
CREATE TABLE staff (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text CHECK (code <> 'Rejected'));
CREATE TABLE visits (id int PRIMARY KEY, doctor text REFERENCES doctors);
CREATE TABLE shifts (id int PRIMARY KEY, who int REFERENCES staff);
"""

TABLES = """
tables:
  doctors:
    from: {query: "SELECT * FROM doctors WHERE code IS NOT NULL"}
    key: [code]
    fields: {code: {DOCTOR}}
  staff:
    from: {query: "SELECT * FROM doctors WHERE code IS NOT NULL"}
    source_key: [code]
    key: [id]
    fields: {id: {generate: sequence}, code: {from: code}}
  visits:
    from: visits
    key: [id]
    copy: [id]
    fields: {doctor: {VISIT, ref: doctors}}
  shifts:
    from: visits
    key: [id]
    copy: [id]
    fields: {who: {from: doctor, ref: staff}}
"""

REASONS = {
    2: "key_differs_in_case",
    3: "key_differs_in_blanks",
    4: "key_differs_in_blanks",
    5: "key_differs_in_blanks",
    6: "key_differs_in_form",
    7: "key_differs_in_writing",
    # Which of two doctors is meant nobody knows.
    8: "key_differs_in_writing",
    9: "missing_parent",
    # A rejected row is no parent.
    11: "missing_parent",
}

VISIBLE = r"regexp_replace(COLUMN, '[\s\p{Z}\p{Cf}]', '', 'g')"


@pytest.mark.slow
def test_what_a_key_differs_in_from_that_of_a_parent(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    # As the remedy says, all at once.
    alike = f'{{sql: "upper(nfc_normalize({VISIBLE}))"'.replace("\\", "\\\\")
    databases.write(
        TABLES.replace("{DOCTOR", alike.replace("COLUMN", "code")).replace(
            "{VISIT", alike.replace("COLUMN", "doctor")
        )
    )
    assert predicted(databases, capsys, "visits") == {"missing_parent": 1}
    plain = TABLES.replace("DOCTOR", "from: code").replace("VISIT", "from: doctor")
    databases.write(plain)
    reasons = list(REASONS.values())
    foreseen = predicted(databases, capsys, "visits")
    assert foreseen == {reason: reasons.count(reason) for reason in reasons}
    databases.migrate(plain)
    for load in ("visits", "shifts"):
        assert (
            dict(
                databases.target.rows(
                    "SELECT source_key::int, reason FROM migration.migration_errors"
                    f" WHERE load = '{load}' ORDER BY 1"
                )
            )
            == REASONS
        )
    # What is the same for a person isn't the same for the target: nothing is guessed.
    assert databases.target.values("SELECT id FROM visits ORDER BY 1") == [1, 10]
    (violation,) = databases.target.values(
        "SELECT id FROM migration.migration_errors WHERE load = 'visits' AND source_key = '3'"
    )
    remedy = run_json(databases, capsys, ["rejects", "show", "SPEC", str(violation)])["remedy"]
    assert VISIBLE in remedy
    messages = databases.target.values("SELECT message FROM migration.migration_errors")
    assert not [text for text in messages if "Mue" in text or "7" in text]


def predicted(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str], load: str
) -> dict[str, int]:
    plan = run_json(databases, capsys, ["plan", "SPEC", "--full"])
    return {kind["reason"]: kind["rows"] for kind in plan["tables"][load]["predicted"]}
