"""How a sweep YAML is understood, and mended."""
