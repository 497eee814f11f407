"""The transactions in which a partition's rows reach the target.

``partition_transaction`` commits a partition: rows, violations and counts together;
``replay_transaction`` does so for rows that are tried again. Both write through
``committed_candidates``; all that goes into the control tables goes through ``transforms.ledger``.
"""
