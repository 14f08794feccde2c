"""How do other evaluation packages ask this engine? Models for mteb and BEIR; each imports its package when imported.

`lsr.measuring.plugins.mteb_model.MtebModel` is a search model for ``mteb.evaluate``;
`lsr.measuring.plugins.beir_search.BeirSearch` a retriever for ``beir``'s ``EvaluateRetrieval``.
"""
