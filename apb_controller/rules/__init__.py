"""What is decided, as plain functions on plain dictionaries: no I/O, the clock and everything found in the cluster are passed in."""
