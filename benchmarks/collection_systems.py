# ruff: noqa: D102  the base class says what the methods do
"""How is a collection loaded, opened, searched and changed in lsr and in embedded databases? One small class each.

Each imports its package where it uses it, and takes the package's own settings unless its docstring says otherwise.
What SYNC says was seen with strace: the calls between two markers around fifty updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lsr.corpus import Document
from lsr.sparse import SparseMatrix

BATCH, K = 1000, 10  # zvec takes at most 1,024 documents at once
KINDS = ("price", "brand", "in_stock", "made", "tags")


class Batch(NamedTuple):
    """Some documents, their vectors, and the vectors as dicts."""

    documents: list[Document]
    vectors: SparseMatrix
    dicts: list[dict[int, float]]


class Peer:
    """A collection in a folder, in the words of one database. Ids are those of the documents."""

    package, module, sparse, exact = "", "", True, True  # exact: whether a search leaves nothing out
    SYNC, power = "", False  # how a change whose call has returned is kept; whether over a loss of power

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder, self.dim = folder / "data", dim

    def load(self, batches: Iterable[Batch]) -> None:
        """Write, index and force to disk; leaves nothing open."""
        raise NotImplementedError

    def open(self) -> None:
        """Open what was loaded."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError

    def query(self, vector: SparseMatrix, whole: bool = False) -> Any:
        """A query for the best K, for ids only or for documents as well."""
        raise NotImplementedError

    def search(self, query: Any) -> list[str]:
        """Ids, best first."""
        raise NotImplementedError

    def update(self, name: str, price: float) -> None:
        """Give a document another price."""
        raise NotImplementedError

    def flush(self) -> None:
        """Force changes to disk."""

    def switch(self) -> Callable[[str, float], None] | None:
        """An update that keeps more or less than the one that ships, if there is one: here it ends in a flush."""
        if type(self).flush is Peer.flush:
            return None

        def update(name: str, price: float) -> None:
            self.update(name, price)
            self.flush()

        return update

    def delete(self, names: list[str]) -> None:
        """Delete documents."""
        raise NotImplementedError

    def get(self, name: str) -> dict[str, Any] | None:
        """Fields of a document."""
        raise NotImplementedError

    def count(self) -> int:
        """How many documents there are."""
        raise NotImplementedError


class Lsr(Peer):
    """Ids from the index below `Collection.search`, documents from that itself; recall .95."""

    package, module, exact = "lsr-engine", "lsr.retrieval", False
    SYNC, power = "one fdatasync (SQLite, synchronous FULL)", True

    def load(self, batches: Iterable[Batch]) -> None:
        from lsr._version import __version__
        from lsr.encoders import PrecomputedVectors
        from lsr.formats import Vocabulary
        from lsr.index import About, CollectionWriter, EncoderInfo

        vocabulary = Vocabulary()
        vocabulary.widen(self.dim)
        encoder = PrecomputedVectors(vocabulary)
        with CollectionWriter(self.folder) as writer:
            for batch in batches:
                writer.append(batch.vectors, batch.documents)
            writer.save_encoder(encoder.fingerprint, encoder.save)
            info = EncoderInfo(encoder.name, encoder.fingerprint, self.dim)
            writer.commit(About(lsr=__version__, encoder=info, base_terms=self.dim), lambda rows: rows, self.dim)

    def open(self) -> None:
        from lsr.retrieval import Collection

        self.at = Collection.open(self.folder)

    def close(self) -> None:
        self.at.close()

    def switch(self) -> Callable[[str, float], None] | None:
        from lsr.retrieval import Collection

        self.close()
        self.at = Collection.open(self.folder, durability="os")
        self.update("d0", 0.5)
        return self.update

    def query(self, vector: SparseMatrix, whole: bool = False, exact: bool = False) -> Any:
        return vector, whole, exact

    def search(self, query: Any) -> list[str]:
        vector, whole, exact = query
        recall = None if exact else 0.95
        if whole:
            return [hit.id for hit in self.at.search(vector, K, recall=recall)]
        current = self.at.store.current
        found = current.search(vector, K, exact=exact, recall=recall).rows[0]
        return [current.document_id(row) for row in found.tolist() if row >= 0]

    def update(self, name: str, price: float) -> None:
        self.at.update({name: {"price": price}})

    def delete(self, names: list[str]) -> None:
        self.at.delete(names)

    def get(self, name: str) -> dict[str, Any] | None:
        found = self.at.get(name)
        return None if found is None else dict(found.fields)

    def count(self) -> int:
        return self.at.count()


class Zvec(Peer):
    """The index that it takes where none is named: flat, which compares every document."""

    package, module = "zvec", "zvec"
    SYNC = "written to its log, no fsync"

    @property
    def index(self) -> Any:
        """How vectors are indexed."""
        import zvec

        return zvec.FlatIndexParam()

    def load(self, batches: Iterable[Batch]) -> None:
        import zvec

        kind = zvec.DataType
        texts = [zvec.FieldSchema(name, kind.STRING) for name in ("title", "text", "brand", "made")]
        others = {"price": kind.DOUBLE, "in_stock": kind.BOOL, "tags": kind.ARRAY_STRING}
        fields = texts + [zvec.FieldSchema(name, of) for name, of in others.items()]
        vectors = [zvec.VectorSchema("vector", kind.SPARSE_VECTOR_FP32, index_param=self.index)]
        self.at = zvec.create_and_open(str(self.folder), zvec.CollectionSchema("documents", fields, vectors))
        for batch in batches:
            found = [
                zvec.Doc(one.id, fields=record(one), vectors={"vector": vector})
                for one, vector in zip(batch.documents, batch.dicts, strict=True)
            ]
            self._check(self.at.insert(found))
        self.at.optimize()
        self.at.flush()
        self.close()

    @staticmethod
    def _check(found: Any) -> None:
        for status in found if isinstance(found, list) else [found]:
            if not status.ok():
                raise SystemExit(f"zvec: {status}")

    def open(self) -> None:
        import zvec

        self.at = zvec.open(str(self.folder))

    def close(self) -> None:
        self.at.close()

    def query(self, vector: SparseMatrix, whole: bool = False) -> Any:
        import zvec

        return zvec.Query("vector", vector=vector.to_dicts()[0]), None if whole else []

    def search(self, query: Any) -> list[str]:
        return [one.id for one in self.at.query(query[0], topk=K, output_fields=query[1])]

    def update(self, name: str, price: float) -> None:
        import zvec

        self._check(self.at.update(zvec.Doc(name, fields={"price": price})))

    def flush(self) -> None:
        self.at.flush()

    def delete(self, names: list[str]) -> None:
        for start in range(0, len(names), BATCH):
            self._check(self.at.delete(names[start : start + BATCH]))

    def get(self, name: str) -> dict[str, Any] | None:
        found = self.at.fetch(name, include_vector=False)
        return found[name].fields if name in found else None

    def count(self) -> int:
        return int(self.at.stats.doc_count)


class ZvecGraph(Zvec):
    """A graph (HNSW) with its own m of 50, ef_construction of 500 and ef of 300."""

    exact = False

    @property
    def index(self) -> Any:
        import zvec

        return zvec.HnswIndexParam()


class Qdrant(Peer):
    """Ids are numbers there; its optimizer is called once after loading."""

    package, module = "qdrant-edge-py", "qdrant_edge"
    SYNC = "written to its mapped log, no msync"

    def load(self, batches: Iterable[Batch]) -> None:
        import qdrant_edge as edge

        self.folder.mkdir()
        config = edge.EdgeConfig(sparse_vectors={"vector": edge.EdgeSparseVectorParams()})
        self.at = edge.EdgeShard.create(str(self.folder), config)
        for batch in batches:
            points = [
                edge.Point(number(one.id), {"vector": edge.SparseVector([*vector], [*vector.values()])}, record(one))
                for one, vector in zip(batch.documents, batch.dicts, strict=True)
            ]
            self.at.update(edge.UpdateOperation.upsert_points(points))
        self.at.optimize()
        self.at.flush()
        self.close()

    def open(self) -> None:
        import qdrant_edge

        self.at = qdrant_edge.EdgeShard.load(str(self.folder))

    def close(self) -> None:
        self.at.close()

    def query(self, vector: SparseMatrix, whole: bool = False) -> Any:
        import qdrant_edge as edge

        sparse = edge.SparseVector(vector.terms.tolist(), vector.values.tolist())
        near = edge.Query.Nearest(sparse, using="vector")
        return edge.QueryRequest(limit=K, query=near, with_vector=False, with_payload=whole)

    def search(self, query: Any) -> list[str]:
        return [f"d{one.id}" for one in self.at.query(query)]

    def update(self, name: str, price: float) -> None:
        import qdrant_edge

        self.at.update(qdrant_edge.UpdateOperation.set_payload([number(name)], {"price": price}))

    def flush(self) -> None:
        self.at.flush()

    def delete(self, names: list[str]) -> None:
        import qdrant_edge

        self.at.update(qdrant_edge.UpdateOperation.delete_points([number(name) for name in names]))

    def get(self, name: str) -> dict[str, Any] | None:
        found = self.at.retrieve([number(name)], with_payload=True, with_vector=False)
        return found[0].payload if found else None

    def count(self) -> int:
        import qdrant_edge

        return int(self.at.count(qdrant_edge.CountRequest()))


class Milvus(Peer):
    """Behind pymilvus, which starts a server in the process; a partial upsert is its update."""

    package, module = "milvus-lite", "pymilvus"
    SYNC = "written to its log, no fsync"

    @property
    def path(self) -> str:
        """Of the database."""
        return str(self.folder) + ".db"

    def load(self, batches: Iterable[Batch]) -> None:
        from pymilvus import DataType, MilvusClient

        self.at = MilvusClient(self.path)
        schema = self.at.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        for name in ("title", "text", "brand", "made"):
            schema.add_field(name, DataType.VARCHAR, max_length=1024)
        schema.add_field("price", DataType.DOUBLE)
        schema.add_field("in_stock", DataType.BOOL)
        schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=8, max_length=64)
        schema.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
        index = self.at.prepare_index_params()
        index.add_index("vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        self.at.create_collection("documents", schema=schema, index_params=index)
        for batch in batches:
            rows = [
                {"id": one.id, **record(one), "vector": vector}
                for one, vector in zip(batch.documents, batch.dicts, strict=True)
            ]
            self.at.insert("documents", rows)
        self.at.flush("documents")
        self.close()

    def open(self) -> None:
        from pymilvus import MilvusClient

        self.at = MilvusClient(self.path)
        self.at.load_collection("documents")

    def close(self) -> None:
        self.at.close()

    def query(self, vector: SparseMatrix, whole: bool = False) -> Any:
        return vector.to_dicts(), ["title", "text", *KINDS] if whole else ["id"]

    def search(self, query: Any) -> list[str]:
        found = self.at.search("documents", data=query[0], anns_field="vector", limit=K, output_fields=query[1])
        return [one["id"] for one in found[0]]

    def update(self, name: str, price: float) -> None:
        self.at.upsert("documents", [{"id": name, "price": price}], partial_update=True)

    def flush(self) -> None:
        self.at.flush("documents")

    def delete(self, names: list[str]) -> None:
        self.at.delete("documents", ids=names)

    def get(self, name: str) -> dict[str, Any] | None:
        found = self.at.get("documents", ids=[name], output_fields=[*KINDS])
        return dict(found[0]) if found else None

    def count(self) -> int:
        return int(self.at.query("documents", filter="", output_fields=["count(*)"])[0]["count(*)"])


class Lance(Peer):
    """No sparse vectors, so rows only; ids have a B-tree, and the first answer is that of a look-up."""

    package, module, sparse = "lancedb", "lancedb", False
    SYNC = "files of a new version written, no fsync"

    def load(self, batches: Iterable[Batch]) -> None:
        import lancedb
        import pyarrow as pa
        from lancedb.index import BTree

        texts = [(name, pa.string()) for name in ("id", "title", "text", "brand", "made")]
        others = [("price", pa.float64()), ("in_stock", pa.bool_()), ("tags", pa.list_(pa.string()))]
        schema = pa.schema(texts + others)
        table = lancedb.connect(str(self.folder)).create_table("documents", schema=schema)
        for batch in batches:
            rows = [{"id": one.id, **record(one)} for one in batch.documents]
            table.add(pa.Table.from_pylist(rows, schema))
        table.optimize()
        table.create_index("id", config=BTree())

    def open(self) -> None:
        import lancedb

        self.at = lancedb.connect(str(self.folder)).open_table("documents")

    def close(self) -> None:
        del self.at

    def update(self, name: str, price: float) -> None:
        self.at.update(where=f"id = '{name}'", values={"price": price})

    def delete(self, names: list[str]) -> None:
        listed = ", ".join(f"'{name}'" for name in names)
        self.at.delete(f"id IN ({listed})")

    def get(self, name: str) -> dict[str, Any] | None:
        found = self.at.search().where(f"id = '{name}'").limit(1).to_list()
        return found[0] if found else None

    def count(self) -> int:
        return int(self.at.count_rows())


PEERS: dict[str, type[Peer]] = {
    "lsr": Lsr,
    "zvec": Zvec,
    "zvec-hnsw": ZvecGraph,
    "qdrant-edge": Qdrant,
    "milvus-lite": Milvus,
    "lancedb": Lance,
}


def record(document: Document) -> dict[str, Any]:
    """Title, text and fields of a document."""
    return {"title": document.title, "text": document.text, **document.fields}


def number(name: str) -> int:
    """The row that an id tells."""
    return int(name[1:])
