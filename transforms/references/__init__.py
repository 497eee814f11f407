"""References to parents: checked, deferred, and placeholders for those that are missing.

``check`` judges a batch with ``target_parents``, which asks through ``parent_lookup``;
``placeholders`` and ``generated_keys`` write keys, ``deferred`` is the second pass over
references of a table to itself or in a circle.
"""
