"""The command line: ``main`` runs a verb, ``verb_table`` lists verbs and flags."""
