"""``migrate`` and ``replay``: from opening the databases to the balance of the counts.

``migrate`` is the course of a run, ``graph`` chains its levels, ``outcome`` concludes it
as ``outcome_decision`` decides, ``balance`` compares the ledger with both databases.
"""
