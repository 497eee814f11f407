"""What a worker reads and writes in the control tables.

``partition_transaction`` commits a partition: rows, violations and counts together;
``replay_transaction`` does so for rows that are tried again. ``run_fence`` shuts out workers of
earlier runs, ``ledger`` claims partitions and stores their failures, ``error_sink`` and
``row_records`` what is wrong with rows, ``budgets`` when a load has too many errors.
"""
