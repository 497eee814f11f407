"""``migrate`` and ``replay``: from opening the databases to the balance of the counts.

``migrate`` is the course of a run: ``run_start`` stores it, ``open_levels`` reads what is left to
do, ``graph`` chains the levels, ``outcome`` concludes it as ``outcome_decision`` decides, and
``balance`` compares the ledger with both databases.
"""
