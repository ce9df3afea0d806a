"""The report of a finished pipeline: one HTML file that needs nothing but itself."""
