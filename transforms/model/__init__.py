"""Plain data that travels between steps, and that every other folder may import.

``program`` is a compiled load, with its fields (``field_program``, ``field_origins``,
``field_maps``, ``parent_reference``), ``row_conditions`` and each ``bound_expression`` in it;
``partition`` and ``slices`` a part of its rows; ``source_rows`` and ``batch`` candidates as Arrow;
``outputs`` the tagged outputs of a step; ``source_address`` where a worker reads; ``run_context``
what every step knows of its run.
"""
