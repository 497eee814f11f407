"""SQL expressions of a specification: parsed, checked and bound, for an embedded DuckDB.

``expressions`` is the way in. ``callable_functions`` lists the functions that an expression may
call, ``transformations`` the named ones of a field; ``embedded_duckdb`` opens the database that
evaluates them, which reaches no file and no network.
"""
