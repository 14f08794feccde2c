"""What is trained, and how does it start?"""
