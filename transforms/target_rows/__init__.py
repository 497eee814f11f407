"""Rows into tables of the target: exactly those that it accepts, and a reason for each other.

``write`` is the entrance; ``stage`` and ``statements`` are the way of a batch into its table,
``encode`` and ``copy_in`` its bytes; ``trace`` and ``halves`` find the rows that the target
refuses, ``refusals`` and ``blame`` say why and whose fault it is; ``trigger_watch`` notices rows
that triggers drop or change.
"""
