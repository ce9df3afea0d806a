"""G-code fingerprinting: which G-code a machine executes, inferred from its sensors alone."""
