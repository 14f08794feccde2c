"""What did a system answer? Rankings, their files, and the rules by which they are read."""
