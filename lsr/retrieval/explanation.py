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
    query: SparseMatrix, document: SparseMatrix, encoder: Encoder, texts: Iterable[str] = ()
) -> list[TermShare]:
    """The shares of all terms that query and document have in common, largest first; they add up to the score.

    Args:
        query: one row.
        document: one row.
        encoder: names the terms.
        texts: their words name terms that are hashed, the first that stands for a term.
    """
    common = common_terms(query, document)
    own = _own_words(encoder, texts) if any(encoder.hashed(term) for term, _, _ in common) else {}
    shares = [TermShare(own.get(term) or encoder.terms[term], q, d, q * d) for term, q, d in common]
    return sorted(shares, key=lambda share: -share.share)


def _own_words(encoder: Encoder, texts: Iterable[str]) -> dict[int, str]:
    """Hashed terms and the first word of ``texts`` that stands for each."""
    found: dict[int, str] = {}
    for text in texts:
        for span in encoder.spans(text):
            if encoder.hashed(span.term):
                found.setdefault(span.term, text[span.start : span.end].lower())
    return found
