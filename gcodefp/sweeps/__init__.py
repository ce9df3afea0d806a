"""Hyperparameter sweeps: the YAML, the search, run folders, leases and the local engine."""
