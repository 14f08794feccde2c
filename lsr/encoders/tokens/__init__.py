"""Which tokens does a text have, and where does each stand?"""
