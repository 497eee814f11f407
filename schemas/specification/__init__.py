"""The YAML file: its model, and everything that can be wrong with it.

``reading`` turns a file into a ``root.Specification`` or into problems with line and path;
``document`` keeps the lines, ``table`` (with ``named_relation``, ``row_rule``, ``parent_policy``)
and ``maps`` are the larger parts of the model, ``consistency`` and its neighbors check what one
field alone can't show, ``load_order`` puts loads into levels.
"""
