"""Check a number that a caller gives."""

import math
from numbers import Real

from fastfcn_infer.system.excerpt import excerpt


def check_number(name: str, value: object, *, most: float = math.inf) -> float:
    """Return a number from 0 to a limit.

    Args:
        name: of the argument, for the message.
        value: what was given; True and False are no numbers here.
        most: the largest that is allowed; infinite: every finite number.

    Raises:
        ValueError: it is no number, not finite, negative or too large.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        number = float(value)
        if math.isfinite(number) and 0 <= number <= most:
            return number
    expected = "a number of at least 0" if math.isinf(most) else f"0 to {most:g}"
    raise ValueError(f"{name} is {excerpt(value)}; {expected} was expected")
