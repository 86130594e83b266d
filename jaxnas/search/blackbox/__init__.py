"""Searches that know nothing of a network but its reward: pure `ask` and `tell` over any space."""
