"""What happens around one search? Text in, explained hits out; and documents in, an index out.

`index_documents` encodes a stream of documents into an index folder, `index_vectors` takes vectors as they are;
`Collection` opens one: documents are added, changed, deleted and found by words; a `Searcher` stays at one generation;
`tune` measures which settings serve it best; `explain` and `snippet` show why a document was found.
"""

from typing import TYPE_CHECKING

from lsr.on_first_use import on_first_use
from lsr.retrieval.changing.changes import Changes
from lsr.retrieval.collection import Collection
from lsr.retrieval.explanation import TermShare, explain
from lsr.retrieval.searcher import Hit, Page, Searcher
from lsr.retrieval.snippet import Snippet, snippet
from lsr.retrieval.tune import tune

if TYPE_CHECKING:
    from lsr.retrieval.ingest import IndexSummary, Progress, index_documents
    from lsr.retrieval.vectors import TopicEncoder, index_vectors, read_vector_topics

# A search does not wait for what makes and measures indexes.
__getattr__ = on_first_use(
    __name__,
    {
        "ingest": ("IndexSummary", "Progress", "index_documents"),
        "vectors": ("TopicEncoder", "index_vectors", "read_vector_topics"),
    },
)

__all__ = [
    "Changes",
    "Collection",
    "Hit",
    "IndexSummary",
    "Page",
    "Progress",
    "Searcher",
    "Snippet",
    "TermShare",
    "TopicEncoder",
    "explain",
    "index_documents",
    "index_vectors",
    "read_vector_topics",
    "snippet",
    "tune",
]
