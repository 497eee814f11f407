"""Rejected rows: listed, exported, discarded, reopened, and found again for a replay."""
