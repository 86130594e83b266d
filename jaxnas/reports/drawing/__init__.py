"""Networks as pictures: where things stand, how they are drawn, and as text for Graphviz."""
