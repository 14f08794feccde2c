"""How do numbers become pictures? Charts as inline SVG, coloured by the style sheet, readable in grey without it.

Every mark has a title that a pointer shows. Colours are the classes ``c0`` to ``c7``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 44
COLOURS = 8
MOST_BARS = 400


class Dot(NamedTuple):
    """One point: place, what the pointer shows, and a label beside it (or none)."""

    x: float
    y: float
    title: str
    label: str = ""


class Series(NamedTuple):
    """Points of one colour, joined by a line or not."""

    name: str
    colour: int
    dots: Sequence[Dot]
    joined: bool = False


class Scale(NamedTuple):
    """Values to pixels, and where the ticks are."""

    low: float
    high: float
    start: float
    stop: float
    log: bool
    ticks: Sequence[float]

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.stop - self.start)


def chart(series: Sequence[Series], x_name: str, y_name: str, frontier: bool = False) -> str:
    """Points over a logarithmic x; with ``frontier`` a step line over those that no other beats on both axes."""
    dots = [dot for one in series for dot in one.dots]
    x = _log_scale([dot.x for dot in dots], LEFT, WIDTH - RIGHT)
    y = _scale([dot.y for dot in dots], HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, x_name, y_name)]
    if frontier:
        parts.append(_frontier(dots, x, y))
    parts += [_line(one, x, y) for one in series if one.joined]
    parts += _labels([(dot, one.colour) for one in series for dot in one.dots if dot.label], x, y)
    parts += [_mark(dot, one.colour, x, y) for one in series for dot in one.dots]
    return _svg(HEIGHT, f"{y_name} against {x_name}", parts)


def difference_bars(values: Sequence[tuple[float, str]], name: str) -> str:
    """Sorted bars around 0, best first; of more than 400 values evenly chosen ones.

    Args:
        values: (difference, what the pointer shows).
        name: of the difference.
    """
    ordered = sorted(values, key=lambda pair: -pair[0])
    step = max(1.0, len(ordered) / MOST_BARS)
    chosen = [ordered[int(i * step)] for i in range(int(len(ordered) / step))]
    height = 190
    y = _scale([value for value, _ in chosen] + [0.0], height - 22, 10)
    width = (WIDTH - LEFT - RIGHT) / len(chosen)
    parts = [_y_axis(y, name)]
    for i, (value, title) in enumerate(chosen):
        top, bottom = sorted((y(value), y(0)))
        kind = "gain" if value > 0 else "loss"
        box = (
            f'x="{LEFT + i * width:.1f}" y="{top:.1f}" width="{max(width - 0.4, 0.5):.2f}" height="{bottom - top:.1f}"'
        )
        parts.append(f'<rect class="{kind}" {box}>{_title(title)}</rect>' if value else "")
    parts.append(f'<line class="zero" stroke="gray" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    shown = f"{len(ordered):,} queries" + (f", {len(chosen)} shown" if step > 1 else "")
    parts.append(
        f'<text class="note" x="{WIDTH - RIGHT}" y="{height - 6}" text-anchor="end">{shown}, best first</text>'
    )
    return _svg(height, name, parts)


def histogram_bars(bins: Sequence[tuple[float, int]], colour: int, x_name: str) -> str:
    """Bars of (upper edge, count); edges are of equal width from 0."""
    height, top = 170, bins[-1][0]
    x = Scale(0, top, LEFT, WIDTH - RIGHT, False, _nice_ticks(0, top, 8))
    y = _scale([0.0, *(float(count) for _, count in bins)], height - BOTTOM, 8, padded=False)
    parts, before = [_axes(x, y, x_name, "documents", height)], 0.0
    for edge, count in bins:
        box = f'x="{x(before):.1f}" y="{y(count):.1f}" width="{max(x(edge) - x(before) - 1, 1):.1f}"'
        words = f"{before:.0f} to {edge:.0f} terms: {count:,} documents"
        parts.append(f'<rect class="bar c{colour}" {box} height="{y(0) - y(count):.1f}">{_title(words)}</rect>')
        before = edge
    return _svg(height, x_name, parts)


def frontier_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of the (cost, value) that no other beats on both, by rising cost."""
    kept: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or value > kept[-1][1]:
            kept.append((cost, value))
    return kept


def _svg(height: int, name: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name)}">'
    return head + "".join(parts) + "</svg>"


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>"


def _mark(dot: Dot, colour: int, x: Scale, y: Scale) -> str:
    place = f'cx="{x(dot.x):.1f}" cy="{y(dot.y):.1f}"'
    return f'<circle class="dot c{colour % COLOURS}" {place} r="4.5">{_title(dot.title)}</circle>'


def _line(series: Series, x: Scale, y: Scale) -> str:
    points = " ".join(f"{x(dot.x):.1f},{y(dot.y):.1f}" for dot in sorted(series.dots))
    return f'<polyline class="line c{series.colour % COLOURS}" fill="none" stroke="gray" points="{points}"/>'


def _frontier(dots: Sequence[Dot], x: Scale, y: Scale) -> str:
    kept = frontier_of([(dot.x, dot.y) for dot in dots])
    path = f"M{x(kept[0][0]):.1f},{y(kept[0][1]):.1f}"
    path += "".join(f"H{x(cost):.1f}V{y(value):.1f}" for cost, value in kept[1:])
    return f'<path class="frontier" fill="none" stroke="gray" d="{path}H{WIDTH - RIGHT}"/>'


def _labels(labelled: Sequence[tuple[Dot, int]], x: Scale, y: Scale) -> list[str]:
    """Words beside points, from the top down, each moved below those that it would cover."""
    parts = []
    taken: list[tuple[float, float, float]] = []
    for dot, colour in sorted(labelled, key=lambda pair: y(pair[0].y)):
        size = 6.4 * len(dot.label)
        left = x(dot.x) + size + 10 > WIDTH - RIGHT
        start = x(dot.x) - 9 - size if left else x(dot.x) + 9
        at = y(dot.y) + 4
        while any(abs(at - other) < 13 and start < end and begin < start + size for other, begin, end in taken):
            at += 3
        taken.append((at, start, start + size))
        anchor = f'x="{start + size if left else start:.1f}" y="{at:.1f}" text-anchor="{"end" if left else "start"}"'
        parts.append(f'<text class="label c{colour % COLOURS}" {anchor}>{escape(dot.label)}</text>')
    return parts


def _axes(x: Scale, y: Scale, x_name: str, y_name: str, height: int = HEIGHT) -> str:
    parts = [_y_axis(y, y_name)]
    for tick in x.ticks:
        place = f'x="{x(tick):.1f}" y="{height - BOTTOM + 16}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{_number(tick)}</text>')
        if x.log:
            place = f'x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{height - BOTTOM}"'
            parts.append(f'<line class="grid" stroke="lightgray" {place}/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="name" x="{middle}" y="{height - 8}" text-anchor="middle">{escape(x_name)}</text>')
    return "".join(parts)


def _y_axis(y: Scale, name: str) -> str:
    parts = [
        f'<path class="grid" stroke="lightgray" d="M{LEFT},{y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
        for tick in y.ticks
    ]
    middle = (y.start + y.stop) / 2
    turned = f'x="13" y="{middle}" transform="rotate(-90 13 {middle})" text-anchor="middle"'
    return "".join(parts) + f'<text class="name" {turned}>{escape(name)}</text>'


def _scale(values: Sequence[float], start: float, stop: float, padded: bool = True) -> Scale:
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1.0) * (0.08 if padded else 0.0)
    low, high = low - room, high + (room or (high - low) * 0.05)
    if high <= low:
        high = low + 1
    return Scale(low, high, start, stop, False, _nice_ticks(low, high, 5))


def _log_scale(values: Sequence[float], start: float, stop: float) -> Scale:
    low, high = min(values) / 1.4, max(values) * 1.4
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 200 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    return Scale(low, high, start, stop, True, ticks)


def _nice_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About ``wanted`` round numbers between two others."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
