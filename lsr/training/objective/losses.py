"""What teaches an encoder? Losses on one score matrix float[Q, N], and two on the vectors themselves.

``positive`` bool[Q, N] marks the documents that answer a query, ``candidates`` bool[Q, N] those that take part (None:
all), ``teacher`` float[Q, N] is what another model says; an entry that is NaN takes no part. Sums are in float32.
"""

from __future__ import annotations

import torch

from lsr.encoders.parts.scorers import unit_tensor
from lsr.errors import InputError


def info_nce(
    scores: torch.Tensor,
    positive: torch.Tensor,
    candidates: torch.Tensor | None = None,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Mean over queries of -log of the probability of all positives together (InfoNCE, arXiv 1807.03748, eq. 4).

    ``scores`` is float[Q, N], ``positive`` and ``candidates`` are bool[Q, N]; a scalar.

    A query without a positive adds nothing. Temperature 1 suits dot products of sparse vectors, 0.02 to 0.2 cosines.
    """
    logits = _only(scores.float() / temperature, candidates)
    kept = positive if candidates is None else positive & candidates
    right = _only(logits, kept).logsumexp(1)
    return _mean(logits.logsumexp(1) - right, kept.any(1))


def softmax(
    scores: torch.Tensor,
    positive: torch.Tensor,
    candidates: torch.Tensor | None = None,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Mean over queries of 1 - the probability of all positives together (EPIC, as in arXiv 2303.13416's code).

    ``scores`` is float[Q, N], ``positive`` and ``candidates`` are bool[Q, N]; a scalar.

    It saturates: a query that is far off adds almost no gradient, so labels that are wrong do little harm.
    """
    logits = _only(scores.float() / temperature, candidates)
    kept = positive if candidates is None else positive & candidates
    right = (_only(logits, kept).logsumexp(1) - logits.logsumexp(1)).exp()
    mask = kept.any(1)
    return (1 - right)[mask].sum() / mask.sum().clamp(min=1)


def kl(
    scores: torch.Tensor,
    teacher: torch.Tensor,
    candidates: torch.Tensor | None = None,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Mean over queries of KL(softmax(teacher) || softmax(scores)) (SPLADE-v3, arXiv 2403.06789, section 2).

    ``scores`` and ``teacher`` are float[Q, N], ``candidates`` is bool[Q, N]; a scalar.
    """
    kept = _known(teacher, candidates)
    wanted = _only(teacher.nan_to_num().float() / temperature, kept).log_softmax(1)
    found = _only(scores.float() / temperature, kept).log_softmax(1)
    terms = wanted.exp() * (wanted - found).masked_fill(~kept, 0)
    return _mean(terms.sum(1), kept.any(1))


def margin_mse(
    scores: torch.Tensor, teacher: torch.Tensor, positive: torch.Tensor, candidates: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean over (positive, other) pairs of the squared difference of margins (arXiv 2010.02666, eq. 6).

    ``scores`` and ``teacher`` are float[Q, N], the masks bool[Q, N]; a scalar.
    """
    kept = _known(teacher, candidates)
    error = (scores.float() - teacher.nan_to_num().float()).masked_fill(~kept, 0)
    pairs = (positive & kept)[:, :, None] & (kept & ~positive)[:, None, :]
    squares = (error[:, :, None] - error[:, None, :]).square()
    return (squares * pairs).sum() / pairs.sum().clamp(min=1)


def margin_mse_list(
    scores: torch.Tensor, teacher: torch.Tensor, candidates: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean over queries and over all pairs i, j of ((s_i - s_j) - (t_i - t_j))^2 (SPLADE-v3's code).

    ``scores`` and ``teacher`` are float[Q, N], ``candidates`` is bool[Q, N]; a scalar.

    For errors e = s - t this is twice their variance, so no pair is ever written.
    """
    kept = _known(teacher, candidates)
    error = (scores.float() - teacher.nan_to_num().float()).masked_fill(~kept, 0)
    size = kept.sum(1).clamp(min=1)
    centred = (error - (error.sum(1) / size)[:, None]).masked_fill(~kept, 0)
    return _mean(2 * centred.square().sum(1) / size, kept.any(1))


def contrast_codes(codes: torch.Tensor, labels: torch.Tensor, temperature: float = 0.2) -> torch.Tensor:
    """Supervised contrast of codes float[N, h] scaled to length 1 (CSRv2, arXiv 2602.05735, section 3).

    -mean of log(sum over rows with the same label / sum over all rows), a row itself left out of both.

    Raises:
        InputError: labels of another number of rows.
    """
    if labels.shape != codes.shape[:1]:
        raise InputError(f"{codes.shape[0]} codes but {list(labels.shape)} labels; wanted one label a row")
    unit = unit_tensor(codes.float())
    others = ~torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    return info_nce(unit @ unit.T, (labels[:, None] == labels) & others, others, temperature)


def spread_codes(codes: torch.Tensor, temperature: float = 0.2) -> torch.Tensor:
    """Unsupervised contrast of codes float[N, h] scaled to length 1 (CSR, arXiv 2503.01776, eq. 6).

    -mean of log of the probability of a row's own copy among all rows: every text repels the others.
    """
    unit = unit_tensor(codes.float())
    own = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    return info_nce(unit @ unit.T, own, None, temperature)


def term_recall(queries: torch.Tensor, documents: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Mean squared error of term weights from the share of a document's queries that hold the term.

    DeepCT, arXiv 1910.10687, section 3.1. Over documents that answer a query, and their own terms. The share is over
    queries of the batch; with one of them at a time the gradient is, on the mean, that of the share over all.

    Args:
        queries: float[Q, V], above 0 where a query holds a term.
        documents: float[N, V], before the ReLU; 0 where a term is not in the document.
        positive: bool[Q, N].
    """
    mask = positive.sum(0)
    recall = positive.T.float() @ (queries > 0).float() / mask.clamp(min=1)[:, None]
    kept = (documents != 0) & (mask > 0)[:, None]
    return ((documents.float() - recall).square() * kept).sum() / kept.sum().clamp(min=1)


def next_token(logits: torch.Tensor, ids: torch.Tensor, rectified: float = 1.0) -> torch.Tensor:
    """Cross-entropy of the next token by logits, plus ``rectified`` times that by log(1 + relu(logits)).

    The second term keeps logits of likely terms above 0, so that a ReLU does not die when sparse training begins
    (CSPLADE, arXiv 2504.10816, section 3.2).

    Args:
        logits: float[B, L, V].
        ids: int64[B, L], the tokens read.
        rectified: weight of the second term.
    """
    found, wanted = logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten()
    plain = torch.nn.functional.cross_entropy(found, wanted)
    return plain + rectified * torch.nn.functional.cross_entropy(found.relu().log1p(), wanted)


def sparse_mse(reps: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared error of vectors float[N, V] from those of a teacher (SparseMSELoss of sentence-transformers).

    Raises:
        InputError: vectors and targets of different shapes.
    """
    if reps.shape != wanted.shape:
        raise InputError(f"vectors {list(reps.shape)} but targets {list(wanted.shape)}; wanted one shape")
    return torch.nn.functional.mse_loss(reps.float(), wanted.float())


def expansion_mse(logits: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared error of the weights log(1 + relu(logit)) from a teacher's, summed over terms, mean over documents.

    Where a weight is wanted, the logarithm goes on as a straight line below 0: behind a ReLU no term that a text does
    not fire would ever learn to.

    Args:
        logits: float[N, R]; minus infinity in a text without words.
        wanted: float[N, R], 0 or above.
        mask: bool[N, R]; other terms are left alone.
    """
    found, kept = logits.float(), mask & logits.isfinite()
    found = found.masked_fill(~kept, 0)
    weights = found.relu().log1p() + torch.where(wanted > 0, found.clamp(max=0), 0.0)
    return ((weights - wanted).square() * kept).sum() / len(logits)


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of those in ``mask``; a choice by index would make the host wait for a GPU."""
    return values.masked_fill(~mask, 0).sum() / mask.sum().clamp(min=1)


def _only(values: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """Values outside ``kept`` as good as minus infinity; finite, so that gradients stay numbers."""
    return values if kept is None else values.masked_fill(~kept, -1e30)


def _known(teacher: torch.Tensor, candidates: torch.Tensor | None) -> torch.Tensor:
    known = ~teacher.isnan()
    return known if candidates is None else known & candidates
