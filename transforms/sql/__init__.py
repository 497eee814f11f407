"""Expressions evaluated on Arrow batches by the DuckDB in this process, and Python functions.

``duckdb_engine`` runs a query over a batch and finds the rows on which it raises; ``exposure``
shows columns to expressions by the names and types that they mean; ``lost_values`` keeps rules
from judging values that could not be read; ``python_functions`` calls the
functions of a site, and ``site_modules`` imports them.
"""
