"""Simpler outlines that still fit together.

Corners of arcs are removed one by one, the ones that change the least first. Each arc is simplified once for
both of its sides, its ends stay, and a corner stays as well if the triangle that its removal adds to one side
holds another point of the map: so no two arcs ever cross, and the regions neither overlap nor leave gaps.

Source: M. Visvalingam and J. D. Whyatt, "Line generalisation by repeated elimination of points", 1993, for the
order.
"""

import heapq

import numpy as np

from fastfcn_infer.picture.geometry.outlines import Points

_SCATTER = 2654435761  # odd, so that multiples of it modulo a power of 2 are all different


def simplify(arcs: list[Points], tolerance: float, size: tuple[int, int]) -> list[Points]:
    """Remove the corners that lie within a distance of the simpler line.

    Args:
        arcs: of a map, each once; see `outlines.Outlines`.
        tolerance: pixels; every point of an arc stays that close to the line that takes its place.
        size: height and width of the map, pixels.

    Returns:
        The arcs, with the same ends.
    """
    return _Map(arcs, tolerance, size).run() if tolerance > 0 else arcs


class _Map:
    """The points of all arcs in one list; each knows its neighbours among those that are left."""

    def __init__(self, arcs: list[Points], tolerance: float, size: tuple[int, int]) -> None:
        points = np.concatenate(arcs) if arcs else np.zeros((0, 2), np.int32)
        self.x: list[int] = points[:, 0].tolist()
        self.y: list[int] = points[:, 1].tolist()
        self.limit = tolerance * tolerance
        self.stops = np.cumsum([len(arc) for arc in arcs]).tolist()
        self.before = list(range(-1, len(points) - 1))
        self.after = list(range(1, len(points) + 1))
        self.fixed = bytearray(len(points))
        self.gone = bytearray(len(points))
        for stop, arc in zip(self.stops, arcs, strict=True):
            self.fixed[stop - len(arc)] = self.fixed[stop - 1] = 1
        self.stride = size[1] + 1
        place = (points[:, 1].astype(np.int64) * self.stride + points[:, 0]).tolist()
        self.place: list[int] = place
        self.taken = bytearray(self.stride * (size[0] + 1))  # 1 where a point is left
        for one in place:
            self.taken[one] = 1
        self.segments = {
            _pair(place[at], place[at + 1])
            for stop, arc in zip(self.stops, arcs, strict=True)
            for at in range(stop - len(arc), stop - 1)
        }

    def run(self) -> list[Points]:
        """Remove what can be removed."""
        queue = [self._turn(at) for at in range(len(self.x)) if not self.fixed[at]]
        heapq.heapify(queue)
        while queue:
            change, _, at = heapq.heappop(queue)
            if self.gone[at] or change != self._change(at) or not self._may_go(at):
                continue
            left, right = self.before[at], self.after[at]
            self._remove(at, left, right)
            for one in (left, right):
                if not self.fixed[one]:
                    heapq.heappush(queue, self._turn(one))
        kept = np.frombuffer(self.gone, np.uint8) == 0
        points = np.stack((self.x, self.y), axis=1).astype(np.int32)
        begins = [0, *self.stops[:-1]]
        return [
            points[begin:stop][kept[begin:stop]]
            for begin, stop in zip(begins, self.stops, strict=True)
        ]

    def _turn(self, at: int) -> tuple[int, int, int]:
        # Of equal corners not the first one: stairs would be walked along again for every step.
        return self._change(at), at * _SCATTER % (1 << 32), at

    def _change(self, at: int) -> int:
        """Return twice the area of the triangle with the neighbours."""
        a, c = self.before[at], self.after[at]
        x, y = self.x, self.y
        return abs((x[at] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[at] - y[a]))

    def _may_go(self, at: int) -> bool:
        a, c = self.before[at], self.after[at]
        ends = self.place[a], self.place[c]
        if ends[0] == ends[1] or _pair(*ends) in self.segments:
            return False
        return self._close(a, c) and self._empty(a, at, c)

    def _close(self, a: int, c: int) -> bool:
        """Tell whether all points of the arc from a to c are close to the straight line."""
        x, y = self.x, self.y
        left, top = x[a], y[a]
        across, down = x[c] - left, y[c] - top
        length = across * across + down * down
        allowed = self.limit * length
        for at in range(a + 1, c):
            dx, dy = x[at] - left, y[at] - top
            along = dx * across + dy * down
            if along < 0:
                if dx * dx + dy * dy > self.limit:
                    return False
            elif along > length:
                if (x[c] - x[at]) ** 2 + (y[c] - y[at]) ** 2 > self.limit:
                    return False
            elif (dx * down - dy * across) ** 2 > allowed:
                return False
        return True

    def _empty(self, a: int, b: int, c: int) -> bool:
        """Tell whether no other point of the map is in a triangle or on its sides."""
        x, y = self.x, self.y
        xs, ys = (x[a], x[b], x[c]), (y[a], y[b], y[c])
        own = {self.place[a], self.place[b], self.place[c]}
        left, right = min(xs), max(xs) + 1
        for row in range(min(ys), max(ys) + 1):
            begin, end = row * self.stride + left, row * self.stride + right
            at = self.taken.find(1, begin, end)
            while at >= 0:
                if at not in own and _inside(at % self.stride, row, xs, ys):
                    return False
                at = self.taken.find(1, at + 1, end)
        return True

    def _remove(self, at: int, left: int, right: int) -> None:
        places = self.place[left], self.place[at], self.place[right]
        self.segments -= {_pair(*places[:2]), _pair(*places[1:])}
        self.segments.add(_pair(places[0], places[2]))
        self.after[left], self.before[right] = right, left
        self.gone[at] = 1
        self.taken[places[1]] = 0


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _inside(px: int, py: int, xs: tuple[int, int, int], ys: tuple[int, int, int]) -> bool:
    """Tell whether a point is in a triangle or on its sides."""
    signs = [
        (xs[i - 2] - xs[i]) * (py - ys[i]) - (ys[i - 2] - ys[i]) * (px - xs[i]) for i in range(3)
    ]
    return min(signs) >= 0 or max(signs) <= 0
