"""Logging: warnings and errors on stderr, and the files of ``--log-dir``."""
