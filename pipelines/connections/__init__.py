"""Connections of the launcher: opened with patience, watched while they wait, errors explained.

``patient_connections`` opens them, ``database_errors`` says what an error of a server means,
``blocking`` names the sessions for which a run waits, ``watcher`` looks at a run from outside.
"""
