"""Arguments for functions that are called without a run, most of them without a server."""
