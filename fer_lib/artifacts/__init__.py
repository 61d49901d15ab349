"""Results of expensive steps on disk, under a key of everything that shapes them."""
