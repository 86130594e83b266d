"""Search methods as experiments run them: the flags of each, its search and its controls."""
