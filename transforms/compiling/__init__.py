"""Specification and catalogues become the program of each load, or problems.

``load`` compiles one; ``field``, ``reference``, ``keys``, ``coding``, ``condition_programs`` and
``ready_rule_programs`` its parts; ``scope`` resolves names, ``schema_fit`` compares with the
target.
"""
