"""A sweep, watched while it runs."""
