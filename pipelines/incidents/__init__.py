"""Incidents: opened by the end of a run, a downtime or an emergency stop, until somebody acts."""
