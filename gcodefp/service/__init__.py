"""The same sweep on the real W&B service, or on a server of one's own."""
