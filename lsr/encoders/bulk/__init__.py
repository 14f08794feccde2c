"""How are the vectors of a whole corpus made and kept?"""
