"""The same sweeps on the W&B service."""
