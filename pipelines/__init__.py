"""The command line, and the runs that it starts. Knows transforms and schemas.

From the bottom up: ``terminal`` (output and signals), ``engines`` (Beam runners, Flink, Spark),
``databases`` (both servers), ``ledger`` (the job in the control tables), ``maps`` (what maps
hold), ``preflight``, ``planning``, ``rejects``, ``codes``, ``removal``, ``watch``, ``preview``,
``run``, and ``cli``. A folder imports from those below it only.
"""
