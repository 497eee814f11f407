"""What ``plan`` and ``try`` compute without writing: the counts and violations of a run."""
