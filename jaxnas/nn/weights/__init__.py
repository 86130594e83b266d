"""A network's variables: drawn, read, written, exported, cut out of a supernet's."""
