"""A compiled load applied to a batch: fields, translations, conditions.

``stages`` has one function for each step, in their order; ``fields``, ``field_steps`` and
``field_results`` compute fields, ``conditions`` skips and rules, ``loaded_maps`` the translators
of a run, ``lookup`` and ``code_translator`` those of one column.
"""
