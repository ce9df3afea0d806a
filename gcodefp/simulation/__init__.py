"""Recordings of a simulated mill: demo data in the schema of the real recordings."""
