"""What does torch make of a network exported for onnxruntime? The model it was, for a GPU or for training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lsr.encoders.storage.files import SCALE
from lsr.errors import EncoderError, MissingExtraError

CONFIG = "config"  # metadata of the file: the model's configuration as JSON
TURNED = ".turned"  # ends the name of a matrix that lies there transposed
BYTES = ".bytes"


def describe(graph: Any, model: nn.Module) -> None:
    """Name the nameless matrices of an exported ``model`` in ``graph``, and keep its configuration there."""
    turned = {
        weight.detach().numpy().T.tobytes(): name for name, weight in model.named_parameters() if weight.ndim == 2
    }
    names = {}
    for tensor in graph.graph.initializer:
        if not tensor.name.startswith("model.") and (name := turned.get(tensor.raw_data)):
            names[tensor.name] = tensor.name = f"model.{name}{TURNED}"
    for node in graph.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    config: Any = model.config
    graph.metadata_props.add(key=CONFIG, value=json.dumps(config.to_dict(), default=str))


def read_exported(path: Path) -> Any:
    """The transformer in ``path`` as a model of `transformers`; bytes are multiplied by the scale of their row.

    Raises:
        EncoderError: not such a file, or weights are missing in it.
        MissingExtraError: onnx or transformers is not installed.
    """
    try:
        import onnx
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "export", "an exported network in torch") from None
    graph = onnx.load(path)
    stored = {entry.key: entry.value for entry in graph.metadata_props}
    if CONFIG not in stored:
        raise EncoderError(f"{path}: exported for onnxruntime alone; torch needs the model it was made of")
    config = json.loads(stored[CONFIG])
    model = AutoModel.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    weights = {name: torch.tensor(array) for name, array in _weights(graph).items()}
    missing, _ = model.load_state_dict(weights, strict=False)
    if missing := [name for name in missing if "pooler" not in name and "position_ids" not in name]:
        raise EncoderError(f"{path}: no weights for {', '.join(missing)[:200]}; export the encoder again")
    return model.eval()


def _weights(graph: Any) -> dict[str, NDArray[np.float32]]:
    from onnx import numpy_helper

    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    found = {}
    for name, array in arrays.items():
        if not name.startswith("model.") or name.endswith(SCALE):
            continue
        if name.endswith(BYTES):
            name = name.removesuffix(BYTES)
            array = array * arrays[name + SCALE][:, None]
        turned = name.endswith(TURNED)
        found[name.removeprefix("model.").removesuffix(TURNED)] = np.ascontiguousarray(array.T if turned else array)
    return found
