"""Recordings of a simulated mill, in the schema of the real recordings."""
