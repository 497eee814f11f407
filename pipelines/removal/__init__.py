"""``reset``: proves which rows are the job's, and removes exactly those."""
