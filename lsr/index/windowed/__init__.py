"""How are vectors searched by postings in order of impact, window by window?"""
