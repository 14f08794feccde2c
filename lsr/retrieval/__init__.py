"""What happens around one search? Text in, explained hits out; and documents in, an index out.

`index_documents` encodes a stream of documents into an index folder; `Searcher` opens one and answers questions put
in words; `tune` measures which settings serve it best; `explain` and `snippet` show why a document was found.
"""

from lsr.retrieval.bench import Bench, Outcome
from lsr.retrieval.evaluation import Evaluation, evaluate_system
from lsr.retrieval.explanation import TermShare, explain
from lsr.retrieval.ingest import IndexSummary, Progress, index_documents
from lsr.retrieval.searcher import Hit, Searcher
from lsr.retrieval.snippet import Snippet, snippet
from lsr.retrieval.tune import tune

__all__ = [
    "Bench",
    "Evaluation",
    "Hit",
    "IndexSummary",
    "Outcome",
    "Progress",
    "Searcher",
    "Snippet",
    "TermShare",
    "evaluate_system",
    "explain",
    "index_documents",
    "snippet",
    "tune",
]
