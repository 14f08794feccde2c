"""What does the folder of an index hold, and who writes it?"""
