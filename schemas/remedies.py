"""The remedy of a violation, by its reason, else by its code."""

from __future__ import annotations

from schemas.messages import is_sqlstate

_CORRECT = "correct the value in the source"
_DECIDE = (
    "somebody who knows the coding decides, and adds the decision to code_mappings"
    " (source_system 'ICD9', target_system 'ICD10', source_code, target_code)"
)
_ALIKE = (
    "correct the key in the source, or write {field} and the key that it refers to alike in the"
    " specification"
)
_VISIBLE = r"sql: regexp_replace(COLUMN, '[\s\p{Z}\p{Cf}]', '', 'g')"
_CONSTRAINT = "{correct}, or change the constraint {rule} of the target"

_BY_REASON = {
    "conversion": "{correct}, or say how it is to be read ('format', 'zone', 'transform' or 'sql')",
    "too_long": "{correct}, shorten it with 'sql', or widen the target's column",
    "too_large": "copy the value by other means (pg_dump of the table, or lo_from_bytea and a large"
    " object), or divide it at the source; then discard the row",
    "out_of_range": "{correct}, or choose a type for the target's column that has such values",
    "blank_line": 'remove the line; or write "" in it for a row without a value',
    "beyond_time": "{correct}, or write the file in microseconds",
    "no_json": "{correct}",
    "inexact": "{correct}, round it with 'sql' (round(EXPRESSION, 2)), or choose a more precise"
    " type for the column",
    "ambiguous": "{correct}, or write in the specification how it is meant: only the 'format' that"
    " the source really uses, 'zone' beside 'century: past'",
    "ambiguous_time": "{correct}, or write 'on_ambiguous: earlier' (or later) for {field}",
    "no_such_time": "{correct}, or write 'on_ambiguous: later' (or earlier) for {field}",
    "missing": "fill the value in at the source, or give {field} a 'default'",
    "raised": "make the expression of {rule} bear such values (nullif, coalesce); instead of a"
    " cast, which may round or cut, give the field a 'type'; for a numeric column with more than 12"
    " decimals write CAST(COLUMN AS DECIMAL(38,20)), which reads up to 20 of them and rounds none;"
    " where / divides numbers of more than 15 digits, multiply instead (COLUMN * 0.01); of a text"
    " that goes on after its date, cast the part that is one, as in CAST(left(COLUMN, 10) AS DATE)",
    "unknown_value": "add the value to the map, or choose another 'on_unmapped'",
    "approximate": "{decide}; or let the map's policy accept approximate translations",
    "cluster": "{decide}; or let the map's policy expand clusters",
    "choice": "{decide}",
    "no_map": "check the code at the source; where it is right, {decide}",
    "unknown_code": "check the code at the source; where it is right, {decide}",
    "ambiguous_code": "write the code in {field} with its dot and all of its zeros at the source",
    "several_codes": "divide the codes at the source, or in a query, into a row each",
    "icd9_after_cutover": "correct the code, its system or the date at the source",
    "icd10_before_cutover": "correct the code, its system or the date at the source",
    "unknown_code_system": "correct the system at the source, or skip such rows",
    "outdated_target": "{decide}; or let the map's 'outdated' accept such codes",
    "repaired_case": "look whether the code is right; 'transform: upper' makes no such warnings",
    "repaired_dot": "look whether the code is right, and correct how the source writes it",
    "repaired_zero": "look whether the code is right, and correct how the source writes it",
    "missing_parent": "find out why the source lacks the row that {field} refers to; or choose"
    " another 'on_missing'",
    "key_differs_in_case": "{alike} (sql: upper(COLUMN))",
    "key_differs_in_blanks": "{alike} ({visible})",
    "key_differs_in_form": "{alike} (sql: nfc_normalize(COLUMN))",
    "key_differs_in_writing": "{alike} (sql: upper(COLUMN); {visible}; sql: nfc_normalize(COLUMN))",
    "parent_rejected": "fix the root cause: this row follows from it",
    "ambiguous_parent": "name in 'ref' the load whose rows {field} means; or let 'source_key' be"
    " unique",
    "parent_skipped": "see whether the parent is skipped rightly; or choose 'on_skipped: skip'",
    "set_null": "see whether the source lacks the row that {field} refers to; NULL was written",
    "placeholder": "replace the placeholder in the target by the real row",
    "winner_rejected": "correct the root cause, the violation of the row that wins, or discard that"
    " row so that the next one gets the key; then replay the rows",
    "winner_gone": "replay the row: no row that comes before it claims the key any more",
    "duplicate": "merge the rows at the source, or say in 'duplicates' which of them wins",
    "placeholder_stands": "write the row's values into the placeholder in the target, and discard"
    " this; or remove it with what refers to it, and replay them",
    "existing_key": "remove the row from the target, or choose write: skip_existing or upsert",
    "unique_violation": _CONSTRAINT,
    "exclusion_violation": _CONSTRAINT,
    "check_violation": _CONSTRAINT,
    "foreign_key_violation": "load what the foreign key {rule} refers to first, or declare 'ref'",
    "not_null_violation": "{correct}, or give {field} a 'default'",
    "trigger": "find out from the target's triggers what they refuse, and correct the row",
    "no_partition": "add a partition for it (CREATE TABLE ... PARTITION OF the table FOR VALUES"
    " ..., or DEFAULT for all others), and replay the row",
    "dropped_by_target": "change the trigger or rule so that it keeps the row (SELECT tgname FROM"
    " pg_trigger names the triggers), and replay the row",
    "key_changed_by_target": "change the trigger so that it keeps the key (SELECT tgname FROM"
    " pg_trigger names the triggers), or compute the same key in the specification, and replay the"
    " row",
    "settings_changed_by_target": "take SET session_replication_role out of the trigger, and replay"
    " the row",
    "conflicting_values": "find out which of the rows is right; all of them were written",
    "repeated_row": "see whether the row was sent twice; it was written",
    "gap": "see whether the source lacks rows before it; the row was written",
    "gone": "bring the row back at the source, or discard it",
    "no_candidate": "bring the value back, or discard the row; if it is in another column or place"
    " now, have the load migrated again: 'transfuse reset SPEC --table LOAD', then 'transfuse"
    " migrate SPEC'",
    "source_key_repeated": "name a 'source_key' whose values are unique",
}

_BY_CODE = {
    "DATA-001": "{correct}, or change the rule {rule}",
    "DATA-003": "{correct}, or say how it is to be read ('format', 'zone', 'transform' or 'sql')",
    "DATA-004": "merge the rows at the source, or say in 'duplicates' which of them wins",
    "DATA-005": "look whether the value is right; for this alone no row is rejected",
    "TRANS-002": "{decide}",
    "TRANS-003": "correct the row in the source, or change the rule {rule}",
    "TRANS-004": "{correct}, or change what the target refuses ({rule})",
    "TRANS-005": "make the expression of {rule} bear such values (nullif, coalesce); instead of a"
    " cast, which may round or cut, give the field a 'type'",
}

_BY_SQLSTATE = (
    "{correct}, or change the trigger or function that raises it; the target's log names it"
)


def remedy_of(code: str, rule: str, field: str | None, reason: str | None) -> str:
    """Writes what a person can do to get such a row accepted; arguments as for ``message_of``."""
    template = _BY_REASON.get(reason or "") or _BY_CODE.get(code, "{correct}")
    if is_sqlstate(reason):
        template = _BY_SQLSTATE
    named = field or "the field"
    return template.format(
        correct=_CORRECT,
        decide=_DECIDE,
        alike=_ALIKE.format(field=named),
        visible=_VISIBLE,
        field=named,
        rule=rule,
    )
