"""What is made small? Losses, penalties and their sum."""
