"""How does a model become a folder that needs no torch? Bodies as ONNX, heads as plain tensors."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsr.encoders.convert.prune import Pruning
from lsr.encoders.declaration import write_declaration
from lsr.encoders.network.assemble import read_network
from lsr.encoders.network.onnx_weights import BYTES, describe
from lsr.encoders.network.side_network import SideNetwork
from lsr.encoders.neural import NeuralEncoder, copy_vocabulary, save_side, write_manifest
from lsr.encoders.parts.heads.table import table_of
from lsr.encoders.parts.heads.vocabulary import rows_of
from lsr.encoders.parts.part import Parts
from lsr.encoders.storage.files import LARGE, SCALE, as_bytes
from lsr.encoders.storage.layout import BODY, SideSource
from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError, MissingExtraError


def export_onnx(encoder: NeuralEncoder, folder: Path, int8: bool = False, pruning: Pruning | None = None) -> None:
    """Write ``encoder`` into the new folder ``folder`` so that onnxruntime and our kernels run it.

    Vectors agree to about 1e-5 and the fingerprint is kept. With ``int8`` matrices are stored as a byte a number and a
    scale a row, a quarter of the size, and multiplied as floats; with ``pruning`` a vocabulary head holds only its
    rows; the fingerprint says so.

    Raises:
        EncoderError: ``folder`` is there already, or the body cannot be exported.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    with new_folder(folder) as new:
        _write(encoder, new, int8, pruning)


def _write(encoder: NeuralEncoder, folder: Path, int8: bool, pruning: Pruning | None) -> None:
    source = encoder.source
    (folder / "encoder.toml").write_text(write_declaration(encoder.declaration), encoding="utf-8")
    copy_vocabulary(source.document, folder)
    _export_side(source.document, folder / "document", int8, pruning)
    if source.query is not None:
        _export_side(source.query, folder / "query", int8)
    write_manifest(folder, encoder.fingerprint + ("-int8" if int8 else "") + (pruning.suffix if pruning else ""))


def _export_side(source: SideSource, folder: Path, int8: bool, pruning: Pruning | None = None) -> None:
    if source.side.backbone == "none":
        network = read_network(source)
        with torch.no_grad():
            table = table_of(network).numpy()
        kept = {} if "embedding" in source.parts else source.parts
        save_side(replace(source, parts={**kept, "table": table}), folder, int8=int8)
        return
    network = read_network(source)
    parts = {**source.parts, **_vocabulary(network, pruning)}
    save_side(replace(source, model=None, parts=parts), folder, int8=int8)
    _export_body(network, folder / BODY)
    _finish(folder / BODY, network, int8)


def _vocabulary(network: SideNetwork, pruning: Pruning | None) -> Parts:
    if network.vocabulary is None:
        return {}  # what a head of stems needs is among the parts
    weight, bias = (tensor.detach().numpy().astype(np.float32) for tensor in rows_of(network))
    if pruning is None:
        return {"vocabulary_weight": weight, "vocabulary_bias": bias}
    rows = pruning.rows
    named = {"vocabulary_rows": rows.astype(np.int32), "vocabulary_size": np.array([bias.size], np.int32)}
    return {"vocabulary_weight": weight[rows], "vocabulary_bias": bias[rows], **named}


def _export_body(network: SideNetwork, path: Path) -> None:
    """The body with free numbers of texts and tokens."""
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtraError("onnxscript", "export", "exporting an encoder") from None
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=network.side.max_length)
    ids, attention = torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.bool)
    attention[1, 5:] = False
    try:
        with _quietly():
            program = torch.onnx.export(
                network.body,  # type: ignore[arg-type]
                (ids, attention),
                dynamo=True,
                input_names=["ids", "attention"],
                output_names=["states"],
                dynamic_shapes={"ids": {0: batch, 1: length}, "attention": {0: batch, 1: length}},
                verbose=False,
            )
    except Exception as error:  # noqa: BLE001  the exporter raises whatever its passes raise
        raise EncoderError(f"the body cannot be exported to ONNX ({str(error).strip().splitlines()[0]})") from None
    if program is None:
        raise EncoderError("the body cannot be exported to ONNX: the exporter gave nothing")
    program.save(str(path), external_data=False)


def _finish(path: Path, network: SideNetwork, int8: bool) -> None:
    """Say in the file what the network is, and make it small."""
    import onnx

    model = onnx.load(path)
    if network.body is not None and network.side.backbone == "encoder":
        describe(model, network.body.model)
    if int8:
        _store_bytes(model.graph)
    onnx.save(model, path)


def _store_bytes(graph: Any) -> None:
    """Keep every matrix of the network as bytes and a scale a row; onnxruntime makes floats of them as it reads."""
    from onnx import helper, numpy_helper

    kept, made = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.ndim != 2 or array.size < LARGE:
            kept.append(tensor)
            continue
        small = as_bytes(array)
        names = tensor.name + BYTES, tensor.name + SCALE
        kept += [numpy_helper.from_array(part, name) for part, name in zip(small, names, strict=True)]
        made.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
    nodes = [*made, *graph.node]
    for field, values in ((graph.initializer, kept), (graph.node, nodes)):
        del field[:]
        field.extend(values)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the notes and warnings of the exporters."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        nowhere = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
