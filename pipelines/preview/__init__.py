"""``plan`` and ``try``: what a run would do, without writing."""
