"""Runs of any training program: its command, its process, and the metrics that it logs."""
