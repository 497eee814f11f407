"""Specifications, catalogues, code maps and errors as plain data. Knows no Beam.

The modules of this folder are plain data that every other folder may import: ``errors`` (codes,
severities, problems, exit statuses), ``violations`` (as Arrow columns) with ``messages`` and
``remedies``, ``column_types`` and ``catalog`` (tables and columns of a database; read by
``catalog_reader``), ``control_tables`` (the tables of the control schema), ``summary`` (the counts
that ``--json`` prints).
"""
