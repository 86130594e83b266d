"""Experiments on NAS-Bench-201, where nothing is trained."""
