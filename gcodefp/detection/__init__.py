"""Did the machine do what it should? Compares a recording with the profile of its program."""
