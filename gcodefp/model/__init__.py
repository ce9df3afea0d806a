"""The network, its decoding with a hidden Markov model, and the trainer."""
