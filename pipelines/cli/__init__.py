"""The command line.

``main`` runs a verb; ``verb_table`` lists the verbs, their flags and help texts; ``job_verbs``,
``preview_verbs`` and ``reject_verbs`` call the package's functions, and ``reports`` prints results.
"""
