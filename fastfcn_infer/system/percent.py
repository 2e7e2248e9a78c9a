"""Write shares in percent."""

import math


def percent(share: float, digits: int = 3) -> str:
    """Write a share, 0 to 1, in percent; 100 is all of it, and nothing less. A dash if it is not a number."""
    if math.isnan(share):
        return "-"
    almost = 100 - 10**-digits
    return f"{100 * share if share == 1 else min(100 * share, almost):.{digits}f}"
