"""How does a collection change while it is searched? Generations, the newest documents, merges, one writer."""
