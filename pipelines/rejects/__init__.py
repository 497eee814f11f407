"""Rejected rows: listed, shown, discarded and reopened, and read again from their source."""
