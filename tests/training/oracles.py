"""Slow, obvious teachers in NumPy, float64."""

import numpy as np

EPSILON = 1e-6


def products(left, rows, right, others):
    left, right = left.to_scipy().toarray(), right.to_scipy().toarray()
    return np.array([[left[row] @ right[other] for other in others] for row in rows])


def listed(data, queries, documents):
    scored = [e for source in data.examples for e in source if e.scores]
    known = {(e.query, d): s for e in scored for d, s in zip(e.documents, e.scores, strict=True)}
    return np.array([[known.get((q, d), np.nan) for d in documents] for q in queries])


def ensemble(given, weights, kind, scale):
    stacked = np.stack([normalised(scores, kind, given[0]) for scores in given])
    known = ~np.isnan(stacked)
    total = (np.array(weights)[:, None, None] * known).sum(0)
    mean = (np.nan_to_num(stacked) * np.array(weights)[:, None, None]).sum(0) / np.where(total > 0, total, 1)
    return np.where(total > 0, scale * mean, np.nan)


def normalised(scores, kind, model):
    if kind == "none":
        return scores
    rows = []
    for row, first in zip(scores, model, strict=True):
        seen, base = row[~np.isnan(row)], first[~np.isnan(first)]
        base = base if base.size else np.zeros(1)
        if not seen.size:
            rows.append(row)
        elif kind == "minmax":
            rows.append((row - seen.min()) / (seen.max() - seen.min() + EPSILON))
        else:
            unit = (row - seen.mean()) / (seen.std() + EPSILON)
            rows.append(unit if kind == "z" else unit * base.std() + base.mean())
    return np.array(rows)
