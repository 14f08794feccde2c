"""Which passages are hard negatives of a query?"""
