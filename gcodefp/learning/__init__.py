"""The network and its training; knows nothing of sweeps, engines or W&B."""
