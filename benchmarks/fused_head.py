"""Is the fused vocabulary head of a GPU exact, and how near is it to what the chip can multiply?

Compares the Triton kernel with the plain formula (all logits written, then the maximum): values, gradients, seconds
and peak memory; and its rate with that of a bfloat16 matrix product measured in the same run. Needs a CUDA device.

    python benchmarks/fused_head.py --json fused_head.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lsr.encoders.parts.products.fused import fits, fused_max
from lsr.encoders.parts.products.torch_products import max_logits, sliced_max

VOCABULARY = 30522
WIDTHS = (128, 384, 768)


def inputs(texts: int, length: int, width: int, dtype: torch.dtype) -> tuple[Any, ...]:
    generator = torch.Generator("cuda").manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device="cuda").to(dtype)

    mask = torch.ones(texts, length, dtype=torch.bool, device="cuda")
    return random(texts, length, width), random(VOCABULARY, width) / width**0.5, random(VOCABULARY), mask


def plain(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (hidden @ weight.T + bias).masked_fill(~mask[..., None], -torch.inf).amax(1)


def seconds(work: Callable[[], Any], repeats: int = 10) -> float:
    """Median of several runs after two that do not count."""
    taken = []
    for number in range(repeats + 2):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if number >= 2:
            taken.append(start.elapsed_time(end) / 1e3)
    return statistics.median(taken)


def peak_mb(work: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = work()
    torch.cuda.synchronize()
    del kept
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def matrix_rate(size: int = 8192) -> float:
    """Products a second of a large square bfloat16 product, times 2."""
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    return 2 * size**3 / seconds(lambda: a @ a)


def exactness(width: int) -> dict[str, float]:
    """Largest differences of values and gradients from the plain formula in float32, and in bfloat16."""
    report = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        hidden, weight, bias, mask = inputs(8, 200, width, dtype)
        mask[3, 90:] = False
        mask[5] = False
        mask[6, :17] = False
        tensors = [t.requires_grad_() for t in (hidden, weight, bias)]
        wide = [t.detach().float().requires_grad_() for t in tensors]
        found, wanted = max_logits(*tensors, mask)[0], plain(*wide, mask)
        live = wanted.isfinite()
        report[f"{name}_values"] = float((found - wanted)[live].abs().max())
        assert torch.equal(found.isfinite(), live), "texts without tokens differ"
        if dtype == torch.float32:
            factors = torch.rand_like(wanted) * (torch.rand_like(wanted) < 0.01)
            pairs = zip(
                torch.autograd.grad((torch.log1p(found.relu()) * factors).sum(), tensors),
                torch.autograd.grad((torch.log1p(wanted.relu()) * factors).sum(), wide),
                strict=True,
            )
            report["float32_gradients"] = max(float((a - b).abs().max()) for a, b in pairs)
    return report


def speed(width: int, texts: int, length: int, rate: float) -> dict[str, float]:
    hidden, weight, bias, mask = inputs(texts, length, width, torch.bfloat16)
    work = 2 * VOCABULARY * width * texts * length
    fused = seconds(lambda: fused_max(hidden, weight, bias, mask, positions=False))
    with_positions = seconds(lambda: fused_max(hidden, weight, bias, mask))
    sliced = seconds(lambda: sliced_max(hidden, weight, bias, mask), 3)
    report = {
        "fused_ms": 1e3 * fused,
        "fused_with_positions_ms": 1e3 * with_positions,
        "sliced_torch_ms": 1e3 * sliced,
        "fraction_of_matrix_rate": work / fused / rate,
        "fraction_with_positions": work / with_positions / rate,
        "fused_mb": peak_mb(lambda: fused_max(hidden, weight, bias, mask, positions=False)),
        "values_mb": 4e-6 * texts * VOCABULARY,
        "plain_logits_mb": 2e-6 * texts * length * VOCABULARY,
    }
    if report["plain_logits_mb"] < 0.4e-6 * torch.cuda.get_device_properties(0).total_memory:
        report["plain_ms"] = 1e3 * seconds(lambda: plain(hidden, weight, bias, mask), 3)
        report["plain_mb"] = peak_mb(lambda: plain(hidden, weight, bias, mask))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: this benchmark needs one")
    assert fits(*inputs(1, 1, 16, torch.bfloat16)[:2]), "Triton is not installed"
    rate = matrix_rate()
    report: dict[str, Any] = {"device": torch.cuda.get_device_name(), "matrix_tflops": rate / 1e12, "widths": {}}
    print(f"{report['device']}: {report['matrix_tflops']:.0f} bfloat16 TFLOP/s measured")
    for width in WIDTHS:
        found = exactness(width) | speed(width, arguments.texts, arguments.length, rate)
        report["widths"][str(width)] = found
        print(f"H = {width}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
        torch.cuda.empty_cache()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
