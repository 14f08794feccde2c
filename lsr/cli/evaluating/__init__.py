"""Which commands measure systems and compare them?"""
