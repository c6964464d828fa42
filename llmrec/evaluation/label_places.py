"""Places for the labels of points in a plot, such that none covers another label or a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle along the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def within(self, other: Box) -> bool:
        """Whether no part of it is outside the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )


@dataclass(frozen=True)
class LabelPlace:
    """Where a label lies, and where a line from its point meets it: None where it lies close by."""

    box: Box
    leader: Point | None


_RADII = (0.0, 7.0, 15.0, 24.0, 34.0, 46.0, 60.0, 78.0, 100.0, 125.0, 155.0, 190.0)
_ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 67, 293, 113, 247)
_CLOSE = 7.0
_CROSSING = 60.0
"""How much farther a label may lie so that its line crosses no other label or point."""


def place_labels(
    points: Sequence[Point],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    *,
    obstacles: Sequence[Box] = (),
    radius: float = 5.0,
) -> list[LabelPlace] | None:
    """Find a place for each point's label, of the given width and height, within the bounds.

    No label covers another one, a point (a square of `radius` around it) or an obstacle. Labels lie as close
    as they can; those of points with the most neighbours are placed first. Returns None when there is no
    room for them all; a larger plot has it.
    """
    taken = [*obstacles, *(_around(point, radius) for point in points)]
    places: dict[int, LabelPlace] = {}
    for at in sorted(range(len(points)), key=lambda one: (-_neighbours(points, one), points[one], one)):
        place = _best_place(points[at], sizes[at], bounds, taken, radius)
        if place is None:
            return None
        places[at] = place
        taken.append(place.box)
    return [places[at] for at in range(len(points))]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, in the same order, at least `gap` apart and within low to high.

    Where there is no room for the gap, they are spread evenly.
    """
    count = len(wanted)
    if count < 2:
        return [min(max(value, low), high) for value in wanted]
    gap = min(gap, (high - low) / (count - 1))
    order = sorted(range(count), key=lambda at: (wanted[at], at))
    found = [0.0] * count
    floor = low
    for rank, at in enumerate(order):
        ceiling = high - gap * (count - 1 - rank)
        found[at] = min(max(wanted[at], floor), ceiling)
        floor = found[at] + gap
    return found


def _best_place(
    point: Point, size: tuple[float, float], bounds: Box, taken: Sequence[Box], radius: float
) -> LabelPlace | None:
    best: tuple[float, LabelPlace] | None = None
    own = _around(point, radius)
    for distance in _RADII:
        if best is not None and distance > best[0]:
            break
        for preference, angle in enumerate(_ANGLES):
            box = _box_at(point, size, radius + 2.0 + distance, math.radians(angle))
            if not box.within(bounds) or any(box.overlaps(other) for other in taken):
                continue
            end = _nearest(box, point)
            crossed = distance > 0 and any(other != own and _crosses(point, end, other) for other in taken)
            cost = distance + 0.3 * preference + _CROSSING * crossed
            if best is None or cost < best[0]:
                best = cost, LabelPlace(box, _short_of(end, point) if distance >= _CLOSE else None)
    return best[1] if best else None


def _box_at(point: Point, size: tuple[float, float], distance: float, angle: float) -> Box:
    """The box whose nearest part lies so far from the point in a direction."""
    width, height = size
    x = point[0] + distance * math.cos(angle) + width / 2 * (math.cos(angle) - 1)
    y = point[1] + distance * math.sin(angle) + height / 2 * (math.sin(angle) - 1)
    return Box(x, y, x + width, y + height)


def _around(point: Point, radius: float) -> Box:
    return Box(point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius)


def _nearest(box: Box, point: Point) -> Point:
    return min(max(point[0], box.left), box.right), min(max(point[1], box.bottom), box.top)


def _short_of(end: Point, start: Point, gap: float = 2.0) -> Point:
    """A little before the end of the line from the start."""
    part = max(0.0, 1.0 - gap / math.dist(start, end)) if start != end else 0.0
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _neighbours(points: Sequence[Point], at: int, reach: float = 60.0) -> int:
    return sum(math.dist(points[at], other) < reach for other in points) - 1


def _crosses(start: Point, end: Point, box: Box, steps: int = 24) -> bool:
    for step in range(1, steps):
        x = start[0] + (end[0] - start[0]) * step / steps
        y = start[1] + (end[1] - start[1]) * step / steps
        if box.left < x < box.right and box.bottom < y < box.top:
            return True
    return False
