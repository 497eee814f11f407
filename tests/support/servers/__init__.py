"""PostgreSQL servers of their own, poolers and proxies: each a context manager."""
