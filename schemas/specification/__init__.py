"""The YAML file: its model, and all that can be wrong with it.

``reading`` turns a file into a ``root.Specification`` or into problems with line and path;
``document`` keeps the lines, ``table`` and ``maps`` are the model's larger parts, ``consistency``
and its neighbors check what one field alone can't show, ``load_order`` puts loads into levels.
"""
