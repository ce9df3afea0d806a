"""Metrics with intervals, baselines, controls, and reconstructed programs."""
