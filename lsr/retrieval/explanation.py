"""Why did this document get this score? The share of every term."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lsr.encoders import Encoder
from lsr.sparse import SparseMatrix


class TermShare(NamedTuple):
    """What one term adds to a score: query weight times document weight."""

    term: str
    query_weight: float
    document_weight: float
    share: float


def common_terms(query: SparseMatrix, document: SparseMatrix) -> list[tuple[int, float, float]]:
    """(term, query weight, document weight) of the terms that two vectors, one row each, have in common."""
    (query_terms, query_weights), (document_terms, document_weights) = query.row(0), document.row(0)
    common, in_query, in_document = np.intersect1d(query_terms, document_terms, True, return_indices=True)
    columns = (common, query_weights[in_query], document_weights[in_document])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def explain(
    query: SparseMatrix, document: SparseMatrix, encoder: Encoder, query_text: str = "", texts: Iterable[str] = ()
) -> list[TermShare]:
    """The shares of all terms that query and document have in common, largest first; they add up to the score.

    A hashed term has the name of a word: that of the query, and after a ~ that of the document where it is another
    one, of the same stem or only in the same bucket.

    Args:
        query: one row.
        document: one row.
        encoder: names the terms.
        query_text: the query in words, where it was given so.
        texts: of the document.
    """
    common = common_terms(query, document)
    hashed = any(encoder.hashed(term) for term, _, _ in common)
    names = _own_names(encoder, query_text, texts) if hashed else {}
    shares = [TermShare(names.get(term) or encoder.terms[term], q, d, q * d) for term, q, d in common]
    return sorted(shares, key=lambda share: -share.share)


def _own_names(encoder: Encoder, query_text: str, texts: Iterable[str]) -> dict[int, str]:
    queried, written = _own_words(encoder, [query_text]), _own_words(encoder, texts)
    names = {term: words[0] for term, words in (written | queried).items()}
    for term in queried.keys() & written.keys():
        if names[term] not in written[term]:
            names[term] += f" ~ {written[term][0]}"
    return names


def _own_words(encoder: Encoder, texts: Iterable[str]) -> dict[int, list[str]]:
    """Hashed terms and the words of ``texts`` that stand for each."""
    found: dict[int, list[str]] = {}
    for text in texts:
        for span in encoder.spans(text):
            if encoder.hashed(span.term):
                found.setdefault(span.term, []).append(text[span.start : span.end].lower())
    return found
