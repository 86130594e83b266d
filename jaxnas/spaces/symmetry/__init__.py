"""When two networks are the same one, with their parts in another order."""
