"""Flags in, report out: what the command line and the scripts of `experiments/` call."""
