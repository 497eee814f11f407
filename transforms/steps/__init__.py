"""The Beam graph of a level: one file for each PTransform, with its DoFn.

In their order: ``read_partition`` (``read_rejected`` in a replay), ``mapping_steps`` (map fields,
translate codes, derive fields), ``check_references``, ``mapping_steps`` (validate rows),
``check_groups``, ``reject_duplicates``, ``commit_partition``, ``settle_load``. ``load_level`` and
``replay_level`` chain them, ``compare_rows`` runs before them, ``report_violations`` consumes the
tagged outputs, ``partition_step`` is the frame of every step.
"""
