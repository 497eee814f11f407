"""Benchmarks: ``python -m bench.NAME`` in the folder of the project."""
