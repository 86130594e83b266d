"""Groups of flags, and the checks that all share."""
