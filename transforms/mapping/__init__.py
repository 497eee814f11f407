"""A compiled load applied to a batch: fields, translations, conditions.

``stages`` has one function for each step, in their order; ``fields``, ``field_steps`` and
``field_results`` compute fields, ``field_translation`` translates their codes, ``conditions``
evaluates skips and rules; ``loaded_maps`` has the translators of a run, ``lookup`` and
``code_translator`` those of one column.
"""
