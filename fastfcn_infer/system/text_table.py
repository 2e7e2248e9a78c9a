"""Tables for terminals, with aligned columns."""

from collections.abc import Collection, Sequence


def text_table(rows: Sequence[Sequence[str]], *, left: Collection[int]) -> list[str]:
    """Write rows as lines, two spaces between columns that are as wide as their widest cell.

    Args:
        rows: the cells, as many in each row; the first row is usually the head.
        left: indices of the columns that are aligned to the left; the others, numbers, to the right.

    Returns:
        A line for each row, without spaces at its end.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
