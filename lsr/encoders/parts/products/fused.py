"""How does a GPU reduce L x V logits to V maxima without writing them? One Triton kernel does it all.

Each program owns one text and a strip of terms. It walks over the text's tokens a tile at a time, keeps the running
maximum and its position of every term in registers, and stores one number (and, for training, one position) a term.
Tiles past the last token that counts are never computed.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch

RESIDENT_WIDTH = 128  # of states whose strip of the vocabulary stays on the chip for a whole text


def fits(hidden: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether the kernel can run: a CUDA device, Triton, one floating type on both sides.

    ``hidden`` is float[B, L, D], ``weight`` float[V, D].
    """
    return hidden.is_cuda and weight.is_cuda and hidden.dtype == weight.dtype and find_spec("triton") is not None


def fused_max(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor, positions: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest logit float32[B, V] and its position int64[B, V], on the device of ``hidden``.

    Args:
        hidden: float[B, L, H], bfloat16 or float16 for full speed; float32 products keep full precision.
        weight: float[V, H] of the same type.
        bias: float[V].
        mask: bool[B, L]; positions that do not count never win.
        positions: whether positions are wanted; without them they come back empty.
    """
    import triton

    from lsr.encoders.parts.products.fused_kernel import GROUP, max_kernel

    (texts, length, width), terms = hidden.shape, weight.shape[0]
    values = torch.empty(texts, terms, dtype=torch.float32, device=hidden.device)
    where = torch.empty((texts, terms) if positions else (0,), dtype=torch.int32, device=hidden.device)
    ends = (mask * torch.arange(1, length + 1, device=mask.device)).amax(1).int()
    arrays = hidden.contiguous(), weight.contiguous(), bias.float().contiguous(), mask.to(torch.int8).contiguous(), ends
    precision = "ieee" if hidden.dtype == torch.float32 else "tf32"
    small = hidden.dtype != torch.float32 and width <= RESIDENT_WIDTH
    resident = max(16, triton.next_power_of_2(width)) if small else 0

    def grid(meta: dict[str, int]) -> tuple[int]:
        return (texts * triton.cdiv(terms, meta["TERMS"]),)

    with torch.cuda.device(hidden.device):
        max_kernel[grid](*arrays, values, where, texts, length, terms, width, positions, precision, GROUP, resident)
    return values, where.long()
