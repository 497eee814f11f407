"""What a specification, a catalogue, a code map and an error are. Knows no Beam.

The modules of this folder are plain data that every other folder may import: ``errors`` (codes,
severities, problems, exit statuses), ``messages`` and ``remedies`` (their words), ``violations``
(as Arrow columns), ``column_types`` and ``catalog`` (what a database has), ``control_tables``
(the tables of the ledger), ``summary`` (the counts that ``--json`` prints).
"""
