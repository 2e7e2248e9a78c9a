"""The names and shapes of a checkpoint, by which its dialect is recognised; its values play no part."""

import re
from collections.abc import Mapping

Shape = tuple[int, ...]


class Keys:
    """Names and shapes of a checkpoint; a missing key has the published shape."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes

    def any(self, prefix: str) -> bool:
        """Tell whether a key starts with `prefix`."""
        return any(key.startswith(prefix) for key in self._shapes)

    def ends(self, suffix: str) -> bool:
        """Tell whether a key ends with `suffix`."""
        return any(key.endswith(suffix) for key in self._shapes)

    def shape(self, key: str, published: Shape) -> Shape:
        """Return the shape of `key`; `published` where it is missing or has other dimensions."""
        found = self._shapes.get(key, published)
        return found if len(found) == len(published) else published

    def width(self, key: str, published: int) -> int:
        """Return the output channels of the convolution `key`."""
        return self.shape(key, (published, 0, 0, 0))[0]

    def count(self, pattern: str) -> int:
        """Count the different numbers that the group of `pattern` finds at the start of keys."""
        regex = re.compile(pattern)
        found = (regex.match(key) for key in self._shapes)
        return len({match.group(1) for match in found if match})
