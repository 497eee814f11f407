"""A legacy hospital to try Transfuse on: generated, dirty, with a list of its faults."""
