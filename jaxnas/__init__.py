"""Find and adapt neural architectures in JAX and Flax, reproducibly."""
