"""Runs and sweeps, set side by side."""
