"""Ready rules: the checks that every hospital needs, by name. One file a family."""

from schemas.ready_rules import codes, dates, identifiers, mce, visits
from schemas.ready_rules import group_rules as groups
from schemas.ready_rules import text_rules as text
from schemas.ready_rules.rule import ReadyRule

READY_RULES: dict[str, ReadyRule] = {
    rule.name: rule
    for family in (identifiers, dates, visits, codes, mce, text, groups)
    for rule in vars(family).values()
    if isinstance(rule, ReadyRule)
}
"""By name, in the order of the families and of their files."""
