"""How does an encoder learn a corpus that nobody labelled?"""
