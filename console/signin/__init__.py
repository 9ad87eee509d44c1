"""Pages on which people sign in, and say what a client may do for them."""
