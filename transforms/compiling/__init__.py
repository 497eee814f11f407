"""Specification and catalogues become the program of each load, or problems.

``load`` compiles one; ``field`` (with ``field_origin``, ``field_map``, ``field_types``),
``reference``, ``keys``, ``coding``, ``condition_programs`` and ``ready_rule_programs`` its parts;
``scope`` resolves names, ``schema_fit`` compares with the target.
"""
