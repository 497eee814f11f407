"""Memory and disk of this process: how much there is, and what is put on disk."""
