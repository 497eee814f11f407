"""The command line: ``main`` runs a verb, ``grammar`` has verbs and flags."""
