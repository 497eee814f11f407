"""What the launcher reads and writes in the control tables.

``job`` begins, continues and ends a job, ``job_lock`` lets one process have it, ``earlier_runs``
shuts out the others; ``control_schema`` creates the tables; ``run_summary`` counts, ``failures``
and ``error_files`` report,
``index_store`` keeps what is built after the load.
"""
