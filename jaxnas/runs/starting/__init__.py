"""What a run starts from: a network that can be built, and weights."""
