"""From the files that a laboratory's loggers write to canonical tables: layouts and readers."""
