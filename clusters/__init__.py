"""Flink and Spark clusters on this machine, to run migrations on: processes, no containers."""
