"""A legacy hospital to try Transfuse on: generated, dirty, with faults that are known."""
