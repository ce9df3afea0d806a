"""What a finished pipeline found, read from its files: what figures and report are made of."""
