"""How are vectors searched by blocks of postings with summaries, as Seismic does?"""
