"""SQL expressions of a specification: taken apart, checked and bound, for an embedded DuckDB.

``expressions`` is the entrance. ``callable_functions`` lists the functions that an expression may
call, ``transformations`` the named ones of a field; ``embedded_duckdb`` opens the database that
evaluates them, which reaches no file and no network.
"""
