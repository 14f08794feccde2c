"""How is a Hugging Face network read? From safetensors only, no remote code, its last product taken out."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lsr.encoders.network.lora import merge_adapter
from lsr.encoders.storage.layout import ADAPTER, weight_files
from lsr.errors import EncoderError, MissingExtraError

# A mask of four axes is taken as it is by these; one of two is looked into by the host, which waits for the GPU.
PLAIN = {"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"}
PROBE = 6  # tokens of the text that proves that body and head make the model


class Body(nn.Module):
    """A transformer that gives states float[B, L, H].

    Args:
        model: of `transformers`; a language model has had its head replaced by the identity.
        kind: the declaration's backbone.
    """

    def __init__(self, model: nn.Module, kind: str) -> None:
        super().__init__()
        self.model, self.kind = model, kind
        config: Any = model.config
        plain = config.model_type in PLAIN and kind in ("encoder", "masked-lm")
        self._plain = plain and config._attn_implementation == "sdpa"
        self.width, self.tokens = int(config.hidden_size), int(config.vocab_size)  # numbers a state, vocabulary

    def forward(self, ids: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        """States of token ids int64[B, L]; ``attention`` bool[B, L] says where a text has tokens."""
        with _attention(ids.device):
            return self._states(ids, attention)

    def _states(self, ids: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        mask = attention[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
        if self.kind == "bidirectional-lm":  # a mask of four axes takes the place of the causal one
            positions = torch.arange(ids.shape[1], device=ids.device)[None].expand_as(ids)
            output = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, **self._no_cache())
        else:
            if not (ids.is_cuda and self._plain):
                mask = attention.long()
            output = self.model(input_ids=ids, attention_mask=mask, **self._no_cache())
        return output.last_hidden_state if self.kind == "encoder" else output.logits  # type: ignore[no-any-return]

    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if self.kind.endswith("-lm") and self.kind != "masked-lm" else {}


def _attention(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Kernels that need no plan for each new shape: batches have many, and cuDNN takes 4 ms to plan one."""
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel(kernels) if device.type == "cuda" else contextlib.nullcontext()


def read_body(folder: Path, kind: str) -> tuple[Body, nn.Linear | None]:
    """The network in ``folder`` without its last product, and that product (None for backbone "encoder").

    Raises:
        EncoderError: no safetensors weights, remote code, an unsupported architecture, weights missing or not finite.
        MissingExtraError: transformers is not installed.
    """
    model = _read_model(folder, kind)
    if kind == "encoder":
        return Body(model, kind).eval(), None
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise EncoderError(f"{folder}: {type(model).__name__} has no vocabulary head; wanted a language model")
    vocabulary = nn.Linear(head.in_features, head.out_features)
    vocabulary.weight = head.weight
    bias: nn.Parameter | None = head.bias
    if bias is not None:
        vocabulary.bias = bias
    else:  # zeros that neither learn nor are saved: the architecture has no place for them
        del vocabulary.bias
        vocabulary.register_buffer("bias", torch.zeros(head.out_features), persistent=False)
    _take_head_out(model, vocabulary, folder)
    return Body(model, kind).eval(), vocabulary


def write_body(body: Body, vocabulary: nn.Linear | None, folder: Path) -> None:
    """The network with its head put back, as a Hugging Face folder of safetensors."""
    if vocabulary is not None:
        body.model.set_output_embeddings(vocabulary)  # type: ignore[operator]
    model: Any = body.model
    own = None  # where nothing is tied, a head's bias that has two names is read by both
    if not getattr(model.config, "tie_word_embeddings", True):
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        with _quietly():
            model.save_pretrained(folder, state_dict=own)
    finally:
        if vocabulary is not None:
            body.model.set_output_embeddings(_identity())  # type: ignore[operator]


def _take_head_out(model: Any, vocabulary: nn.Linear, folder: Path) -> None:
    """Replace the head by the identity, and prove that states times head are the model's logits."""
    ids = torch.arange(1, PROBE + 1)[None] % vocabulary.out_features
    with torch.inference_mode():
        wanted = model.eval()(input_ids=ids).logits
        model.set_output_embeddings(_identity())
        found = vocabulary(model(input_ids=ids).logits)
    if not torch.allclose(wanted, found, rtol=1e-3, atol=1e-3):
        raise EncoderError(
            f"{folder}: unsupported architecture {type(model).__name__}: its logits are not states times a head "
            "(a scale or a cap follows)"
        )


def _read_model(folder: Path, kind: str) -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("transformers", "torch", "this encoder") from None
    if not weight_files(folder):
        raise EncoderError(f"{folder}: no model.safetensors; pickled weights are not read, convert them first")
    loaders = {"encoder": transformers.AutoModel, "masked-lm": transformers.AutoModelForMaskedLM}
    loader = loaders.get(kind, transformers.AutoModelForCausalLM)
    wanted = {"encoder": "a transformer", "masked-lm": "a masked language model"}.get(kind, "a causal language model")
    options = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}
    try:
        with _quietly():
            model, info = loader.from_pretrained(folder, output_loading_info=True, **options)
    except Exception as error:  # noqa: BLE001  transformers and safetensors raise whatever their parts raise
        raise EncoderError(f"{folder}: not {wanted} that can be read ({_first_line(error)})") from None
    _require_weights(info, folder, wanted)
    _require_finite(model, folder)
    if (folder / ADAPTER).is_dir():
        merge_adapter(model, folder / ADAPTER)
    return model.eval()


def _require_weights(info: Any, folder: Path, wanted: str) -> None:
    """Refuse weights that are missing or of the wrong shape: transformers would fill them with random numbers."""
    missing = sorted(str(name) for name in info["missing_keys"] if "pooler" not in str(name))
    if missing or info.get("mismatched_keys"):
        names = ", ".join(missing or [str(key) for key in info["mismatched_keys"]])
        raise EncoderError(f"{folder}: not {wanted}: no fitting weights for {names[:200]}")


def _require_finite(model: Any, folder: Path) -> None:
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise EncoderError(f"{folder}: tensor {name!r} holds NaN or infinity; the weights are damaged")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _identity() -> nn.Identity:
    """A layer that gives its input; setters of some models also ask for its bias."""
    layer = nn.Identity()
    layer.bias = None  # type: ignore[assignment]
    return layer


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the progress bars and reports that transformers prints."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
