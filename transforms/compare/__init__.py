"""Candidates that are compared with each other: duplicates, and rules over several rows."""
