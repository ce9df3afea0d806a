"""What a recording is: the columns of its CSV file and the G-code in it."""
