"""What is learned from? Pairs of texts from files, as tokens, in a shuffled order."""
