"""What the runs of a sweep get."""
