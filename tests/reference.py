"""The slow, obvious version of everything that lsr does fast."""

from __future__ import annotations

import math
import re
from collections import Counter

import Stemmer

from lsr.encoders.lexical.bm25 import STOP_WORDS


def top_k(documents, query, k):
    """Best k (row, score) by inner product over dicts; ties by row; only scores above 0."""
    scores = [sum(weight * document.get(term, 0) for term, weight in query.items()) for document in documents]
    ranked = sorted((-score, row) for row, score in enumerate(scores) if score > 0)
    return [(row, -score) for score, row in ranked[:k]]


def words(text):
    """Stems of the words of a text, stop words left out."""
    stem = Stemmer.Stemmer("english").stemWord
    return [stem(w) for w in re.findall(r"\w\w+", text.lower()) if w not in STOP_WORDS]


def bm25_scores(texts, query, k1=0.9, b=0.4):
    """BM25 of every text for a query, from the formula."""
    bags = [Counter(words(text)) for text in texts]
    mean = sum(sum(bag.values()) for bag in bags) / len(bags)
    scores = []
    for bag in bags:
        norm = k1 * (1 - b + b * sum(bag.values()) / mean)
        score = 0.0
        for term in words(query):
            df = sum(term in other for other in bags)
            score += math.log(1 + (len(texts) - df + 0.5) / (df + 0.5)) * bag[term] / (bag[term] + norm)
        scores.append(score)
    return scores


def ndcg(grades, ranking, k):
    """nDCG with linear gain of a ranking of ids, grades by id."""
    gains = [grades.get(name, 0) / math.log2(rank + 2) for rank, name in enumerate(ranking[:k])]
    ideal = [grade / math.log2(rank + 2) for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:k])]
    return sum(gains) / sum(ideal) if sum(ideal) else 0.0


def largest_of(rows, counts):
    """One dict for each text: the largest weight of every term in its rows, dicts that follow each other."""
    left, found = list(rows), []
    for count in counts:
        own, left = left[:count], left[count:]
        found.append({term: max(row[term] for row in own if term in row) for row in own for term in row})
    return found
