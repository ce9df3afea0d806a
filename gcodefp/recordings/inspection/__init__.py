"""What is in the files of a laboratory, how they would be read, and what to correct."""
