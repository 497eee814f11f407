"""Rows into tables of the target: exactly those that it accepts, and a reason for each other.

``write`` is the way in. A batch goes through ``stage`` into its table: ``stage_tables`` and
``stage_filling`` hold it, ``stage_checks`` finds rows that the catalogue forbids, ``insertion`` and
``staged_insertion`` move it by way of ``copy_in``. ``trace`` and ``halves`` find the rows that the
target refuses, ``target_errors`` and ``blame`` say why and which row is to blame; ``trigger_watch``
notices rows that triggers drop or change.
"""
