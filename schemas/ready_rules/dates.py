"""Ready rules for dates and timestamps: their order, the future, ages, and dummy dates.

Where a date stands beside a timestamp, days are compared. Where a time zone is known of one
side only, a rule fails only if it fails in every zone.
"""

from __future__ import annotations

from schemas.column_types import TIMESTAMPTZ
from schemas.errors import ErrorCode
from schemas.ready_rules.operands import Family, Operand, age_in_years, not_after
from schemas.ready_rules.parameters import Constant, FieldParameter, dates, whole_number
from schemas.ready_rules.rule import ready_rule

STARTED_AT = Operand("started_at", TIMESTAMPTZ)
"""The start of the job, which stands for the present: a continued run decides the same."""

BIRTH = FieldParameter("birth", Family.MOMENT, "the date of birth", "birth_date")
DEATH = FieldParameter("death", Family.MOMENT, "the date of death", "death_date")
EVENT = FieldParameter("date", Family.MOMENT, "the date or timestamp of the event")


@ready_rule(BIRTH, DEATH)
def birth_before_death(birth: Operand, death: Operand) -> str:
    """Nobody dies before being born.

    Source: OHDSI Data Quality Dashboard, plausibleAfterBirth.
    """
    return not_after(birth, death)


@ready_rule(EVENT, BIRTH)
def not_before_birth(date: Operand, birth: Operand) -> str:
    """Nothing happens to a patient before the birth.

    Source: OHDSI Data Quality Dashboard, plausibleAfterBirth.
    """
    return not_after(birth, date)


@ready_rule(
    EVENT,
    DEATH,
    Constant("days", whole_number, "how many days after the death are let pass", "0"),
)
def not_after_death(date: Operand, death: Operand, days: int) -> str:
    """Nothing happens to a patient after the death.

    ``days`` leaves time for what follows it, such as an autopsy or a late report.

    Source: OHDSI Data Quality Dashboard, plausibleBeforeDeath, which leaves 60 days.
    """
    if days:
        later = f"CAST({death.sql} + INTERVAL {days} DAY AS {death.type.duckdb})"
        death = Operand(later, death.type)
    return not_after(date, death)


@ready_rule(EVENT)
def not_in_future(date: Operand) -> str:
    """What has happened lies not in the future: not after the start of the job.

    Source: OHDSI Data Quality Dashboard, plausibleValueHigh of dates.
    """
    return not_after(date, STARTED_AT)


@ready_rule(
    BIRTH,
    FieldParameter(
        "death",
        Family.MOMENT,
        "the date of death, to which the age of who has died counts",
        "death_date",
        optional=True,
        if_there=True,
    ),
    Constant("years", whole_number, "the highest age", "124"),
)
def age_at_most(birth: Operand, death: Operand | None, years: int) -> str:
    """Nobody is older than 124 years, at the death or else at the start of the job.

    Source: CMS, Medicare Code Editor, edit 4: an age is 0 to 124 years.
    """
    now = STARTED_AT.date
    on = now if death is None else f"coalesce({death.date}, {now})"
    return f"{age_in_years(birth, on)} <= {years}"


@ready_rule(
    EVENT,
    Constant("values", dates, "the dates that stand for none", ["1900-01-01", "9999-12-31"]),
    error=ErrorCode.DATA_005,
    warns=True,
)
def no_sentinel_date(date: Operand, values: list[str]) -> str:
    """A date isn't one that old systems wrote where they had none. Of a timestamp with a time
    zone it is the day in UTC.

    Source: practice of the systems; 9999-12-31 is the last date of SQL and of ISO 8601 with four
    digits, 1900-01-01 the first of SQL Server's smalldatetime.
    """
    return f"{date.date} NOT IN ({', '.join(values)})"
