"""Sessions with PostgreSQL servers.

``connections`` opens one and ``connection_pool`` shares them; ``retries`` tries again what may
pass; ``database_problems`` and ``connection_failures`` turn a driver's exception into a coded
problem; ``snapshot`` is the instant that all readers of a run see.
"""
