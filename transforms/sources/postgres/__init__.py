"""PostgreSQL as a source: planned as partitions, and read in parallel under one snapshot.

``postgres_source`` is the entrance. ``partition_plan`` divides a relation by pages
(``physical_ranges``), keys (``key_ranges``) or hashes (``hash_ranges``), ``partition_reader``
reads one; ``read_access`` and ``order_ties`` ask whether sessions would see the same rows,
``postgres_state`` and ``base_tables`` whether it has changed since.
"""
