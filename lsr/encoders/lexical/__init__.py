"""Which terms and weights do counts of words give, without any network?"""
