"""The message of a violation, which names field and reason, never a value."""

from __future__ import annotations

import re

_BY_REASON = {
    "conversion": "the value of {field} can't be read as the target's type",
    "too_long": "the value of {field} is longer than the target's column",
    "too_large": "the value of {field} is so large that the source's server can't send the row"
    " (1 GB as text, in which each byte of a bytea takes two)",
    "out_of_range": "the value of {field} is outside the range of the target's type",
    "character_not_in_repertoire": "the value of {field} holds bytes that are no text",
    "beyond_time": "the value of {field} is finer than a microsecond, or of a year that PostgreSQL"
    " hasn't got",
    "no_json": "the value of {field} has a key twice, bytes that are no text, or NaN",
    "too_few_fields": "the line has fewer fields than the header",
    "too_many_fields": "the line has more fields than the header",
    "unclosed_quote": "a quote is opened in the line and not closed",
    "text_after_quote": "text follows a quote that closes a value of the line",
    "blank_line": "the line is blank: a row without a value, or none",
    "line_too_long": "the line is longer than 64 MB",
    "unknown_escape": "the line has an escape that doesn't mean the same to all programs",
    "undecodable": "the line holds bytes that aren't text in the file's encoding",
    "empty": "the row holds no candidate: all of the places that are unpivoted or split are blank",
    "inexact": "the value of {field} would have to be rounded or cut to fit the target's type",
    "ambiguous": "the value of {field} can be read in several ways, with different results",
    "ambiguous_time": "the local time of {field} occurred twice: the clocks were put back",
    "no_such_time": "the local time of {field} never occurred: the clocks were put forward",
    "missing": "{field} is required and missing",
    "raised": "the expression or function of {rule} can't be evaluated on this row",
    "unknown_value": "the map of {field} lacks the value",
    "approximate": "the map has only an approximate translation, which the policy rejects",
    "cluster": "the code translates to several codes together, which the policy rejects",
    "choice": "the code has several translations and somebody must choose",
    "no_map": "the code has no translation in the map",
    "unknown_code": "the code is not in the map",
    "code_not_in_force": "the code in {field} was not in force at the row's date",
    "ambiguous_code": "what stands in {field} can be read as several codes",
    "several_codes": "more than one code stands in {field}",
    "icd9_after_cutover": "the code in {field} is of ICD-9 after 30 September 2015",
    "icd10_before_cutover": "the code in {field} is of ICD-10 before 1 October 2015",
    "unknown_code_system": "the code system that goes with {field} is neither ICD-9 nor ICD-10",
    "outdated_target": "the code in {field} leads to one that the release of the target lacks",
    "repaired_case": "the code in {field} is written in small letters; it was translated",
    "repaired_dot": "the dot of the code in {field} is misplaced; it was translated without it",
    "repaired_zero": "the code in {field} lacks zeros; it was translated with them",
    "missing_parent": "the row that {field} refers to is not in the target",
    "key_differs_in_case": "the row that {field} refers to is not in the target; a parent exists"
    " whose key differs in case only",
    "key_differs_in_blanks": "the row that {field} refers to is not in the target; a parent exists"
    " whose key differs in blanks or invisible characters only",
    "key_differs_in_form": "the row that {field} refers to is not in the target; a parent exists"
    " whose key differs in Unicode form (composed or decomposed letters) only",
    "key_differs_in_writing": "the row that {field} refers to is not in the target; a parent exists"
    " whose key differs in case, blanks or Unicode form only",
    "parent_rejected": "the row that {field} refers to was rejected",
    "ambiguous_parent": "{field} refers to one of several rows with the same source key",
    "parent_skipped": "the row that {field} refers to was skipped",
    "set_null": "the row that {field} refers to is not in the target; NULL is written",
    "placeholder": "the row that {field} refers to is not in the target; a placeholder stands in",
    "duplicate": "another row of the source has the same key and wins",
    "winner_rejected": "another row of the source has the same key and wins, but is itself"
    " rejected",
    "winner_gone": "the row of the source that won the key was discarded or has another key now",
    "placeholder_stands": "a placeholder stands in the target in the place of the row",
    "existing_key": "the target already has a row with this key",
    "unique_violation": "the target already has a row with the same unique value ({rule})",
    "exclusion_violation": "the row conflicts with another one in the target ({rule})",
    "check_violation": "the target's check {rule} refuses the row",
    "foreign_key_violation": "the target's foreign key {rule} refuses the row",
    "not_null_violation": "the target refuses NULL in {field}",
    "trigger": "a trigger of the target refuses the row",
    "no_partition": "no partition of the target's table takes the row",
    "dropped_by_target": "a trigger or rule of the target drops the row or sends it elsewhere,"
    " or deletes another row for it",
    "key_changed_by_target": "a trigger of the target stores the row under another key",
    "settings_changed_by_target": "a trigger of the target changes session_replication_role for the"
    " row, so that later rows would not be checked",
    "conflicting_values": "rows that belong together differ in what must be the same ({rule})",
    "repeated_row": "another row of the source says the same ({rule})",
    "gap": "numbers are missing before the one of this row ({rule})",
    "gone": "the source has no row with this source key any more",
    "no_candidate": "the source has no value for this row and position any more",
    "source_key_repeated": "another row of the source has the same source key",
}


def message_of(code: str, rule: str, field: str | None, reason: str | None) -> str:
    """Writes the message of a violation, as ``migration_errors`` stores it.

    Args:
        code: The error code.
        rule: The name of the rule.
        field: The field; None for a check of the whole row.
        reason: The reason, or an SQLSTATE of the target.
    """
    template = _BY_REASON.get(reason or "")
    if template is None and is_sqlstate(reason):
        template = "a trigger or type of the target raises SQLSTATE {reason} for the row"
    if template is None:
        template = "the rule {rule} fails" if reason is None else "{rule}: {reason}"
    return template.format(field=field or "the row", rule=rule, reason=reason, code=code)


def is_sqlstate(reason: str | None) -> bool:
    """Whether the reason of a violation is the SQLSTATE of the target."""
    return re.fullmatch("[0-9A-Z]{5}", reason or "") is not None
