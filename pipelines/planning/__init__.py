"""How a job is divided, and what may change between its runs."""
