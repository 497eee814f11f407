"""Computes for ``plan`` and ``try``, without writing, the counts and violations of a run.

``predictable`` takes out of a load what can't be computed yet, ``predicted_candidates`` runs its
stages, ``target_refusals`` and ``target_triggers`` ask the target. ``load_predictor`` collects a
``predicted_partition`` for each partition, ``settled_references`` and ``predicted_references``
settle references of the load to itself, and ``load_prediction`` has the counts, which
``predicted_parents`` offers to the children.
"""
