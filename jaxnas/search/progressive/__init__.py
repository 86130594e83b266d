"""Search from small networks to large ones, by a surrogate that is told of the small."""
