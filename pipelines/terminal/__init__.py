"""The process and its terminal: output, signals, flags, and what other users must not see."""
