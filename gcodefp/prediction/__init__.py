"""What the machine executed in a new recording, and how sure that is."""
