"""Networks of shared weights, whose architecture is an input."""
