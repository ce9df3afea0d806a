"""G-code fingerprinting: which G-code a machine executes, told from its sensors alone."""
