"""Scores with intervals, the baselines beside them, and reconstructed programs."""
