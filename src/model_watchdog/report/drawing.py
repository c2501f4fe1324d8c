"""Charts as SVG within the page: shapes only, stretched to whatever width there is; what is to be read stands beside them as text."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

from model_watchdog.language import phrase
from model_watchdog.report.saying import name_kind, say_minute, say_time

Doc = dict[str, Any]

WIDTH, HEIGHT = 1000, 100
GAP = 2.5
"""So many usual steps between two points are a gap in the line."""
MOST_MARKS = 60


def draw_strip(timeline: Sequence[Doc], since: float, until: float, label: str) -> str:
    """States over time: one rectangle a stretch, by its kind; each says what and when."""
    scale = WIDTH / (until - since)
    rects = []
    for span in timeline:
        left, right = (span["since"] - since) * scale, (span["until"] - since) * scale
        width = max(right - left, 6.0 if span["kind"] in ("down", "loading") else 0.0)  # a short outage must be seen
        title = escape(
            f"{phrase(span['state']) if span['state'] else name_kind(span['kind'])}: {say_time(span['since'])} – {say_time(span['until'])}"
        )
        rects.append(
            (
                span["kind"] == "down",
                f'<rect class="k-{span["kind"]}" x="{left:.1f}" width="{width:.1f}" height="20"><title>{title}</title></rect>',
            )
        )
    shapes = "".join(shape for _, shape in sorted(rects, key=lambda rect: rect[0]))  # what is bad lies on top
    return f'<svg class="strip" viewBox="0 0 {WIDTH} 20" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{shapes}</svg>'


def draw_line(points: Sequence[Sequence[float]], since: float, until: float, marks: Sequence[Doc], level: float | None, label: str) -> str:
    """A line of means within a band from the least to the greatest value; `marks` are anomalies, `level` is where a rule fires."""
    low, high = find_range(points, level)
    scale, stretch = WIDTH / (until - since), HEIGHT / (high - low)

    def place(at: float, value: float) -> str:
        return f"{(at - since) * scale:.1f} {HEIGHT - (value - low) * stretch:.1f}"

    bands, lines = [], []
    for piece in split_at_gaps(points):
        above = [place(at, most) for at, _, _, most in piece]
        below = [place(at, least) for at, least, _, _ in reversed(piece)]
        bands.append(f"M{'L'.join(above + below)}Z")
        lines.append("M" + "L".join(place(at, mean) for at, _, mean, _ in piece) + ("h2" if len(piece) == 1 else ""))
    shapes = [f'<path class="band" d="{"".join(bands)}"/>', f'<path class="line" d="{"".join(lines)}"/>']
    if level is not None:
        y = HEIGHT - (level - low) * stretch
        shapes.append(f'<path class="level" d="M0 {y:.1f}H{WIDTH}"/>')
    for mark in marks[-MOST_MARKS:]:
        x = (mark["at"] - since) * scale
        title = escape(f"{say_minute(mark['at'])} {mark['reason']}")
        shapes.append(f'<path class="mark" d="M{x:.1f} 0V{HEIGHT}"><title>{title}</title></path>')
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{''.join(shapes)}</svg>"
    )


def draw_bars(bars: Sequence[Sequence[float]], label: str) -> str:
    """A distribution: one bar for each range of values."""
    most = max((count for _, _, count in bars), default=0) or 1
    width = WIDTH / max(len(bars), 1)
    shapes = []
    for number, (_, _, count) in enumerate(bars):
        tall = max(HEIGHT * count / most, 0.8 if count else 0.0)
        shapes.append(
            f'<rect class="bar" x="{number * width + 1:.1f}" y="{HEIGHT - tall:.1f}" width="{width - 2:.1f}" height="{tall:.1f}"/>'
        )
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{''.join(shapes)}</svg>"
    )


def find_range(points: Sequence[Sequence[float]], level: float | None) -> tuple[float, float]:
    """The values that the chart reaches from and to: all of the points, and the level where it is near enough not to flatten them."""
    low, high = min(point[1] for point in points), max(point[3] for point in points)
    if level is not None:
        reach = max(high - low, abs(high) * 0.2)
        if low - reach <= level <= high + reach:
            low, high = min(low, level), max(high, level)
    if high <= low:
        half = abs(low) * 0.05 or 0.5
        return low - half, high + half
    return low, high


def split_at_gaps(points: Sequence[Sequence[float]]) -> list[list[Sequence[float]]]:
    """Pieces without a gap: a line through a time in which nothing was measured would be made up."""
    steps = sorted(after[0] - before[0] for before, after in pairwise(points))
    usual = steps[len(steps) // 2] if steps else 0.0
    pieces: list[list[Sequence[float]]] = [[points[0]]]
    for point in points[1:]:
        if point[0] - pieces[-1][-1][0] > GAP * usual:
            pieces.append([])
        pieces[-1].append(point)
    return pieces
