"""The command line, and the runs that it starts. Knows transforms and schemas.

From the bottom up: ``terminal`` (output and signals), ``engines`` (Beam runners, Flink, Spark),
``connections`` (of the launcher), ``ledger`` (the job in the control tables), ``databases`` (source
and target), ``maps`` (their contents), ``preflight``, ``planning``, ``rejects``, ``codes``,
``removal``, ``watch``, ``preview``,
``run``, and ``cli``. A folder imports from those below it only.
"""
