"""How is a network run without torch? The body by onnxruntime, everything after it by our own kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.part import Sizes
from lsr.encoders.parts.registry import head_of
from lsr.encoders.runners.array_side import ArraySide
from lsr.encoders.runners.rows import Rows
from lsr.encoders.runners.windowed import WindowedRunner
from lsr.encoders.storage.layout import SideSource
from lsr.encoders.tokens.stem_tokens import terms_of
from lsr.encoders.tokens.word_pieces import Tokens, buckets, collate, read_tokenizer
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix

TOKENS, TEXTS = 1024, 16  # of one bucket; every thread holds one


class OnnxRunner(WindowedRunner):
    """One side whose body was exported by `lsr.encoders.convert.export`.

    A bucket of texts is one task of a thread; inside a task nothing is parallel.

    Args:
        source: its ``onnx`` is the body.
        threads: None means one a processor.

    Raises:
        EncoderError: a file that onnxruntime cannot run, or a part that only torch runs.
    """

    def __init__(self, source: SideSource, threads: int | None = None) -> None:
        super().__init__(source.tokenizer, source.side)
        self.tokenizer = read_tokenizer(source.tokenizer)
        self._session = _session(source)
        known, width = terms_of(source.tokenizer, source.side), self._session.get_outputs()[0].shape[-1]
        if not isinstance(width, int):
            raise EncoderError(f"{source.onnx}: its output has no fixed width; wanted the body of an exported encoder")
        self._head = ArraySide(source.side, source.parts, Sizes(width, known), str(source.onnx))
        self.terms = self._head.terms
        self._threads = threads or len(os.sched_getaffinity(0))
        if head_of(source.side).columns_are == "tokens" and self.terms < known:
            raise EncoderError(
                f"{source.onnx}: the head has {self.terms:,} outputs but the tokenizer "
                f"{known:,} word-pieces; weights and tokenizer do not belong together"
            )

    def dense(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors as they are, float32[N, H]."""
        rows: list[Any] = [None] * len(texts)
        for bucket, found in self._map(self._windows(texts).tokens, lambda vector: vector):
            for at, vector in zip(bucket, found, strict=True):
                rows[at] = vector
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def _encoded(self, tokens: list[Tokens]) -> SparseMatrix:
        rows = Rows(len(tokens), self.terms)
        for bucket, found in self._map(tokens, self._sparse):
            counts = np.array([terms.size for terms, _ in found])
            rows.put(bucket, counts, np.concatenate([t for t, _ in found]), np.concatenate([w for _, w in found]))
        return rows.matrix()

    def _positions(self, tokens: Tokens, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._head.positions(self._states([tokens])[0], tokens, terms)

    def _map(self, tokens: list[Tokens], finish: Any) -> Iterator[tuple[list[int], list[Any]]]:
        groups = buckets([len(t.ids) for t in tokens], TOKENS, TEXTS)

        def work(bucket: list[int]) -> list[Any]:
            own = [tokens[i] for i in bucket]
            return [finish(self._head(states, t)) for states, t in zip(self._states(own), own, strict=True)]

        with ThreadPoolExecutor(max(1, min(self._threads, len(groups)))) as pool:
            yield from zip(groups, pool.map(work, groups), strict=True)

    def _states(self, batch: list[Tokens]) -> NDArray[np.float32]:
        arrays = collate(batch)
        found = self._session.run(None, {"ids": arrays.ids, "attention": arrays.attention})[0]
        return np.asarray(found)

    @staticmethod
    def _sparse(vector: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Terms above 0 and their weights; NaN goes along, to be refused with the row."""
        terms = np.flatnonzero(~(vector <= 0))
        return terms, vector[terms]


def _session(source: SideSource) -> Any:
    import onnxruntime  # queries do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # buckets differ in shape; an arena would keep the largest of each
    try:
        return onnxruntime.InferenceSession(str(source.onnx), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime raises classes of its own without a common root
        fault = str(error).splitlines()[0][:200]
        raise EncoderError(f"{source.onnx}: not a network that onnxruntime can run ({fault})") from None
