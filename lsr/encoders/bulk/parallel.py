"""How do several GPUs encode one corpus? One process each, batches handed out as they come, results in order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from lsr.encoders.base import Encoder, Observation
from lsr.errors import EncoderError

AHEAD = 3  # batches on their way for each process

_encoder: Encoder | None = None  # of a child process


def gpu_names() -> list[str]:
    """Every GPU of this machine; none without torch or without one."""
    try:
        import torch
    except ImportError:
        return []
    return [f"cuda:{i}" for i in range(torch.cuda.device_count())]


def encode_on(
    folder: str, devices: Sequence[str], batches: Iterable[list[str]], half: bool = False, truncate: bool = False
) -> Iterator[Observation]:
    """Document vectors of every batch, in order; a process for each device reads the encoder in ``folder``.

    Memory: AHEAD batches a process.

    Raises:
        EncoderError: a process died, or what loading the encoder there raised.
    """
    context = multiprocessing.get_context("spawn")  # a forked child cannot use CUDA
    names = context.Queue()
    for device in devices:
        names.put(device)
    waiting: deque[Future[Any]] = deque()
    with ProcessPoolExecutor(len(devices), context, _start, (folder, names, half, truncate)) as pool:
        try:
            for texts in batches:
                waiting.append(pool.submit(_encode, texts))
                if len(waiting) >= AHEAD * len(devices):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise EncoderError(
                f"a process of {', '.join(devices)} died, perhaps for want of memory; "
                "start again to go on after the last whole part, with fewer devices"
            ) from None


def _start(folder: str, names: Any, half: bool, truncate: bool) -> None:
    from lsr.encoders.registry import load

    global _encoder
    _encoder = load(folder, device=names.get(), half=half, truncate=truncate)


def _encode(texts: list[str]) -> Observation:
    if _encoder is None:
        raise EncoderError("this process has no encoder: it was not started by encode_on")
    return _encoder.encoded(texts)
