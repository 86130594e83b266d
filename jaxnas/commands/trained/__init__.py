"""What trained networks are put to: judged on a data set, and asked about images."""
