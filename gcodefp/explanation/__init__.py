"""What the answers of a trained network rest on, and how far they can be believed."""
