"""How do a backbone and parts become one network?"""
