"""Which commands turn texts into vectors, and vectors into other files?"""
