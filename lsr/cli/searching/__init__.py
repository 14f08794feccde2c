"""Which commands make an index, search it, serve it and look after it?"""
