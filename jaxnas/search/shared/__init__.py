"""Searches that train one supernet, whose weights all candidates share, while they look."""
