"""Independent work: lists of jobs that are done here, by local processes or by a Ray cluster."""
