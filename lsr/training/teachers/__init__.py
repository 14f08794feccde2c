"""What does a student learn from others? Scores of pairs, and vectors."""
