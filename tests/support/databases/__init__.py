"""The two databases of a test, and roles in them: ``two_databases`` is the way in."""
