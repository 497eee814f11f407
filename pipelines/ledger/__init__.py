"""What the launcher reads and writes in the control tables, all of it behind ``JobLedger``.

A ``JobLedger`` is a connection to the target and a job. Its parts hold the SQL, one module each,
and give typed rows: ``job`` (``job_row``), ``lock``, ``loads``, ``partitions``, ``counts``,
``maps``, ``decisions``, ``indexes``. Other modules of this folder decide by such rows:
``earlier_runs`` shuts out earlier runs, ``run_summary`` and ``failures`` report,
``error_files`` exports the error sink, ``index_store`` drops and builds indexes.
``control_schema`` creates the tables and upgrades earlier ones
(``control_version``, ``control_upgrade``, and a module ``upgrade_to_N`` for each version).
"""
