"""Outlines of the regions of a map, made of arcs that neighbours share.

A unit edge is a side of a pixel between two regions. Each region has it once, in the direction that keeps the
region on the right as seen on the screen; its neighbour has the same edge in the other direction. An arc is a
chain of edges between two junctions, which are points where three or more regions meet and the corners of
the picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int32]  # (N, 2), x and y in pixels from the upper left corner of the picture

# East, south, west, north: steps in x and y. Turning right adds 1.
_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], np.int64)
# Of the four pixels around a point, counted as 2 * below + right: the ones ahead of a direction.
_LEFT_AHEAD = np.array([1, 3, 2, 0])
_RIGHT_AHEAD = np.array([3, 2, 0, 1])


@dataclass(frozen=True, eq=False)
class Outlines:
    """Rings of regions as sequences of arcs.

    Args:
        arcs: points of each arc, from junction to junction: the corners between them, and both ends. An arc
            without a junction begins and ends at its uppermost point.
        rings: of each region; a ring is a sequence of arcs, each with whether it runs backwards.
    """

    arcs: list[Points]
    rings: list[list[list[tuple[int, bool]]]]


def trace(regions: NDArray[np.int32], count: int) -> Outlines:
    """Trace the outlines of regions.

    Where two pixels of a region touch only at a corner, the ring runs from one to the other, so no ring
    touches itself.

    Args:
        regions: (H, W), 0 to `count` - 1, each connected by sides of pixels; -1 is outside all regions.
        count: number of regions.
    """
    height, width = regions.shape
    framed = np.full((height + 2, width + 2), -1, np.int32)
    framed[1:-1, 1:-1] = regions
    start, direction, owner = _edges(framed)
    if not len(start):
        return Outlines([], [[] for _ in range(count)])
    stride = width + 1
    keys = 4 * start + direction
    order = np.argsort(keys)
    keys, start, direction, owner = keys[order], start[order], direction[order], owner[order]
    around = _around(framed, start, stride)
    sides = (around != around[:, [1, 3, 0, 2]]).sum(axis=1)  # edges that meet at the start
    corners = np.array([0, width, height * stride, height * stride + width])
    junction = (sides > 2) | np.isin(start, corners)
    following = _following(framed, keys, start, direction, owner, stride)
    chain, first = _walk(following, junction)
    return _cut(chain, first, start, direction, owner, junction, stride, count)


def _edges(
    framed: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return start (y * (W + 1) + x), direction and region of every unit edge."""
    stride = framed.shape[1] - 1
    above, below = framed[:-1, 1:-1], framed[1:, 1:-1]
    left, right = framed[1:-1, :-1], framed[1:-1, 1:]
    level = np.nonzero(above != below)
    upright = np.nonzero(left != right)
    level_at = level[0] * stride + level[1]
    upright_at = upright[0] * stride + upright[1]
    parts = (  # the region lies to the right of the direction
        (level_at, below[level]),
        (upright_at, left[upright]),
        (level_at + 1, above[level]),
        (upright_at + stride, right[upright]),
    )
    start = np.concatenate([at for at, _ in parts])
    owner = np.concatenate([of for _, of in parts])
    direction = np.repeat(np.arange(4), [len(at) for at, _ in parts])
    inside = owner >= 0
    return start[inside], direction[inside], owner[inside]


def _around(framed: NDArray[np.int32], at: NDArray[np.int64], stride: int) -> NDArray[np.int32]:
    """Return the regions of the four pixels around points: (N, 4), two above, two below."""
    y, x = np.divmod(at, stride)
    return np.stack(
        (framed[y, x], framed[y, x + 1], framed[y + 1, x], framed[y + 1, x + 1]), axis=1
    )


def _following(
    framed: NDArray[np.int32],
    keys: NDArray[np.int64],
    start: NDArray[np.int64],
    direction: NDArray[np.int64],
    owner: NDArray[np.int32],
    stride: int,
) -> NDArray[np.int64]:
    """Return the index of the edge that follows each one in its ring; the keys are sorted."""
    step = _STEPS[direction]
    end = start + step[:, 1] * stride + step[:, 0]
    around = _around(framed, end, stride)
    each = np.arange(len(end))
    left = around[each, _LEFT_AHEAD[direction]] == owner
    right = around[each, _RIGHT_AHEAD[direction]] == owner
    turn = np.where(left, 3, np.where(right, 0, 1))
    return np.searchsorted(keys, 4 * end + (direction + turn) % 4)


def _walk(
    following: NDArray[np.int64], junction: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], list[int]]:
    """Return the edges ring by ring, and where each ring begins: at a junction if it has one."""
    follow = following.tolist()
    seen = bytearray(len(follow))
    chain: list[int] = []
    first: list[int] = []
    for begin in (*np.flatnonzero(junction).tolist(), *range(len(follow))):
        if seen[begin]:
            continue
        first.append(len(chain))
        at = begin
        while not seen[at]:
            seen[at] = 1
            chain.append(at)
            at = follow[at]
    return np.array(chain), first


def _cut(
    chain: NDArray[np.int64],
    first: list[int],
    start: NDArray[np.int64],
    direction: NDArray[np.int64],
    owner: NDArray[np.int32],
    junction: NDArray[np.bool_],
    stride: int,
    count: int,
) -> Outlines:
    """Cut rings into arcs at junctions; an arc that two regions have is kept once."""
    at, way = start[chain], direction[chain]
    begins = junction[chain]
    begins[first] = True
    before = np.roll(way, 1)
    kept = np.flatnonzero(begins | (way != before))
    points = np.stack((at[kept] % stride, at[kept] // stride), axis=1).astype(np.int32)
    cuts = np.flatnonzero(begins[kept])  # in `kept`, the beginnings of arcs
    last_edge = np.append(kept[cuts[1:]], len(chain)) - 1  # of each arc
    forward = 4 * at[kept[cuts]] + way[kept[cuts]]
    step = _STEPS[way[last_edge]]
    end = at[last_edge] + step[:, 1] * stride + step[:, 0]
    backward = 4 * end + (way[last_edge] + 2) % 4
    ends = np.stack((end % stride, end // stride), axis=1).astype(np.int32)
    names = np.minimum(forward, backward).tolist()
    stops = np.append(cuts[1:], len(kept)).tolist()
    reversed_ = (backward < forward).tolist()
    arcs: list[Points] = []
    known: dict[int, int] = {}
    rings: list[list[list[tuple[int, bool]]]] = [[] for _ in range(count)]
    ring_begins = set(first)
    owners = owner[chain[kept[cuts]]].tolist()
    for index, (name, left) in enumerate(zip(names, cuts.tolist(), strict=True)):
        if name not in known:
            known[name] = len(arcs)
            line = np.concatenate((points[left : stops[index]], ends[index : index + 1]))
            arcs.append(line[::-1] if reversed_[index] else line)
        if int(kept[left]) in ring_begins:
            rings[owners[index]].append([])
        rings[owners[index]][-1].append((known[name], reversed_[index]))
    return Outlines(arcs, rings)


def ring_points(arcs: list[Points], ring: list[tuple[int, bool]]) -> Points:
    """Join the arcs of a ring: (N, 2), the first point not repeated at the end."""
    parts = [arcs[arc][::-1][:-1] if back else arcs[arc][:-1] for arc, back in ring]
    return np.concatenate(parts)


def signed_area(points: Points) -> float:
    """Return the area of a ring, square pixels; positive if it runs clockwise on the screen.

    Source: the shoelace formula.
    """
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
