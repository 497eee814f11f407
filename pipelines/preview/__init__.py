"""Looking before running: ``plan``, ``try`` and ``rules``. Nothing is written."""
