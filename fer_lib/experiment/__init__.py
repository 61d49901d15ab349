"""One set of parameters and all that follows from it, each step computed once."""
