"""The diagnosis of servers, data and machine: a file for each subject that yields findings.

``diagnose`` runs the subjects in their order, and ``health_finding`` has the two kinds of
observations: findings, each with its fix, and facts. Nothing here writes to a database.
"""
