"""Runs of a user's training script or function: its command, process, and the metrics it logs."""
