"""Flink and Spark of this machine for tests, and parts of them that fail."""
