"""Which commands change an index, keep its history and copy it?"""
