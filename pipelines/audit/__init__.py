"""Who acts: the person behind a command, for what the control tables record of runs and changes."""
