"""A compiled load applied to a batch: fields, translations, conditions.

``stages`` has one function for each step, in their order. ``fields`` computes fields:
``direct_fields`` those that are a source column, ``field_steps`` and ``field_results`` the others
with SQL, ``distinct_values`` once for each distinct value, ``field_violations`` what their failures
become. ``field_translation`` translates codes, ``conditions`` evaluates skips and rules;
``loaded_maps`` has the translators of a run, ``lookup`` and ``code_translator`` those of one
column.
"""
