"""One set of parameters and all that follows from it: `study.Study`, and its parts in modules of their names."""
