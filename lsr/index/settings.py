"""How is an index built and searched? The settings of each engine."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.errors import InputError

MOST_EFFORT = 2**20


@dataclass(frozen=True)
class WindowedSettings:
    """How much an approximate search leaves out.

    Attributes:
        cut: contributions below this share of the query's largest possible one are not added up, in [0, 1).
        effort: about effort * (30 + 2k) documents with the largest sums are scored exactly.

    Raises:
        InputError: a number out of range.
    """

    cut: float = 0.12
    effort: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.cut < 1 and 0 < self.effort <= MOST_EFFORT):
            raise InputError(f"{self}: wanted cut in [0, 1) and effort above 0, at most {MOST_EFFORT:,}")

    def wanted(self, k: int) -> int:
        """Documents to score exactly, at least."""
        return max(1, int(self.effort * (30 + 2 * k)))


@dataclass(frozen=True)
class SeismicSettings:
    """How an index is built and searched; names and meaning as in Seismic (Bruch et al., SIGIR 2024, section 4).

    Attributes:
        n_postings: postings kept for a term on average; 0 takes the square root of the number of documents, at
            least 64.
        max_fraction: no list is longer than this many times n_postings.
        centroid_fraction: clusters of a list, as a share of its postings.
        min_cluster_size: clusters of this size or smaller are dissolved.
        summary_energy: share of its mass that a block's summary keeps, in (0, 1].
        seed: of the random centroids.
        query_cut: heaviest query terms whose lists are read.
        heap_factor: the search ends at the first block whose estimate is below this times the k-th best first look;
            lower is safer and slower.
        first_look: documents whose first look (the inner product with their heaviest 60 terms) is below this share of
            the k-th best are not scored exactly; 0 scores all that were met. Where the heaviest terms of a document
            say most about it, as SPLADE's do, 0.75 loses little; BM25's say less.

    Raises:
        InputError: a number out of range.
    """

    n_postings: int = 0
    max_fraction: float = 8.0
    centroid_fraction: float = 0.2
    min_cluster_size: int = 2
    summary_energy: float = 0.5
    seed: int = 42
    query_cut: int = 10
    heap_factor: float = 0.8
    first_look: float = 0.25

    def __post_init__(self) -> None:
        whole = self.n_postings, self.min_cluster_size, self.query_cut, self.seed
        if not all(isinstance(value, int) for value in whole):
            raise InputError(f"{self}: wanted whole numbers for n_postings, min_cluster_size, query_cut and seed")
        if min(self.n_postings, self.min_cluster_size, self.query_cut - 1, self.seed) < 0:
            raise InputError(f"{self}: wanted n_postings, min_cluster_size and seed >= 0, query_cut >= 1")
        if max(self.n_postings, self.min_cluster_size, self.query_cut, self.seed) >= 2**31:
            raise InputError(f"{self}: wanted whole numbers below 2^31")
        if not 0 < self.max_fraction <= 2**20:
            raise InputError(f"{self}: wanted max_fraction above 0, at most {2**20:,}")
        if not (0 < self.summary_energy <= 1 and 0 < self.centroid_fraction <= 1 and 0 <= self.heap_factor <= 1):
            raise InputError(f"{self}: wanted summary_energy, centroid_fraction in (0, 1] and heap_factor in [0, 1]")
        if not 0 <= self.first_look <= 1:
            raise InputError(f"{self}: wanted first_look in [0, 1]")
