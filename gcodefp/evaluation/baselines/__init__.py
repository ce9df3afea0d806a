"""The baselines: methods that are trained on the same data, and predict the same rows."""
