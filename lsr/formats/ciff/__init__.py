"""How is a matrix of weights kept in the Common Index File Format?"""
