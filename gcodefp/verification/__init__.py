"""Whether results still say what their files say."""
