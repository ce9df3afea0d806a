"""Recordings made ready for learning: splits, channels, vocabulary, windows, and their files."""
