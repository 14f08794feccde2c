"""What does a folder of an encoder hold?"""
