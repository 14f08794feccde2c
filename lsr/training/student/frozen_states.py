"""What does a frozen body say of a text? The state that an autoencoder sees, computed once and kept in files."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.network.side_network import SideNetwork
from lsr.encoders.parts.heads.autoencoder import pooled_states
from lsr.encoders.storage.layout import SideSource, network_files
from lsr.replacing import save_array
from lsr.training.data.ragged import home
from lsr.training.data.token_store import TokenStore

PART = 2048  # texts of a file
TEXTS, GPU_TEXTS = 32, 256  # encoded together


class FrozenStates:
    """States of the texts of token stores, float32[N, H] on the device if they fit, without dropout.

    Args:
        cache: folder for files of `PART` texts, so that a killed run goes on; None keeps states in memory only.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._known: WeakKeyDictionary[TokenStore, dict[int, torch.Tensor]] = WeakKeyDictionary()

    def of(self, store: TokenStore, network: SideNetwork, source: SideSource) -> torch.Tensor:
        """States of all texts of ``store`` by the body of ``network``, which was read from ``source``.

        float[N, D], of N texts.
        """
        known = self._known.setdefault(store, {})
        if id(network) not in known:
            key, starts = _key(store, network, source), range(0, len(store), PART)
            parts = [self._part(store, range(at, min(at + PART, len(store))), network, key) for at in starts]
            states, device = torch.from_numpy(np.concatenate(parts)), next(network.parameters()).device
            known[id(network)] = states.to(home(device, states.nbytes))
        return known[id(network)]

    def _part(self, store: TokenStore, rows: range, network: SideNetwork, key: str) -> NDArray[np.float32]:
        path = self._cache and self._cache / f"states-{key}" / f"{rows.start:09d}.npy"
        if path and path.is_file():
            return np.load(path)  # type: ignore[no-any-return]
        states = encode_states(store, rows, network)
        if path:
            _write(states, path)
        return states


def encode_states(store: TokenStore, rows: range, network: SideNetwork) -> NDArray[np.float32]:
    """What an autoencoder sees of some texts, float32[N, H]."""
    training, device = network.training, next(network.parameters()).device
    order = rows.start + np.argsort(-store.lengths[rows.start : rows.stop], kind="stable")
    found = np.empty((len(rows), network.parts["centre"].numel()), np.float32)
    network.eval()
    size = texts_together(device)
    for at in range(0, len(order), size):
        part = order[at : at + size]
        batch = store.batch(part, device)
        with torch.no_grad():
            found[part - rows.start] = pooled_states(network, network.states(batch), batch).cpu().numpy()
    network.train(training)
    return found


def texts_together(device: torch.device) -> int:
    """How many texts are encoded at once where nothing is learned."""
    return TEXTS if device.type == "cpu" else GPU_TEXTS


def _key(store: TokenStore, network: SideNetwork, source: SideSource) -> str:
    """Hash of tokens, weights and what is done with the body's states."""
    side = network.side
    digest = hashlib.sha256(store.digest + msgspec.json.encode([side.backbone, side.view, side.pool, side.centred]))
    for path in network_files(source.model) if source.model else ():
        digest.update(_hash(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:32]


@functools.lru_cache(maxsize=8)
def _hash(path: Path, changed: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _write(states: NDArray[np.float32], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_array(path, states)
