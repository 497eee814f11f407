"""Beam runners: in this process, and on Flink and Spark.

``runner`` and ``engine`` run a graph, ``submission`` refuses what an engine can't run,
``job_server`` and ``flink_rest`` talk to it; ``worker_pool`` and ``worker`` run beside it.
"""
