"""Which programs the recordings run, where in them each row is, and how late the sensors are."""
