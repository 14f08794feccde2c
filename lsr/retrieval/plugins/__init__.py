"""How do other evaluation packages ask this engine? Models for mteb and BEIR; each imports its package when imported.

`lsr.retrieval.plugins.mteb_model.MtebModel` is a search model for ``mteb.evaluate``;
`lsr.retrieval.plugins.beir_search.BeirSearch` a retriever for ``beir``'s ``EvaluateRetrieval``.
"""
