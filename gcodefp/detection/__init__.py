"""Did the machine do what it should? Compares a recording with the template of its program."""
