"""Which entries of a vector stay? One module a sparsifier."""
