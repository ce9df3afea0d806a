"""Hyperparameter sweeps: W&B's schema, an engine whose database is the run folders."""
