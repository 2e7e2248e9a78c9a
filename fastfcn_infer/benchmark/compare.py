"""Compare a benchmark's report with an earlier one, so that a build can fail if it is slower."""

from collections.abc import Iterator
from typing import Literal

from fastfcn_infer.benchmark.environment import Environment
from fastfcn_infer.benchmark.report import Change, Comparison, Report, Row
from fastfcn_infer.system.excerpt import listing

MEASURES: tuple[Literal["network", "end_to_end"], ...] = ("network", "end_to_end")


def compare(report: Report, base: Report, name: str, max_regress: float) -> Comparison:
    """Compare the medians of the rows that both reports have.

    Args:
        report: of this run.
        base: of an earlier run.
        name: of `base`, for messages.
        max_regress: how much slower a median may be, as a share: 0.05 for 5 %.

    Raises:
        ValueError: no row is in both reports, so nothing was compared; that must not pass.
    """
    before = {row.key: row for row in base.rows}
    now = {row.key: row for row in report.rows}
    both = [key for key in now if key in before]
    if not both:
        raise ValueError(
            f"{name} has none of the rows that were measured, so there is nothing to compare. It "
            f"has {listing([row.title for row in base.rows], '; ') or 'no rows at all'}. Rows match "
            "if model, backend, procedure, size, batch and threads are the same."
        )
    regressed = [change for key in both for change in _slower(now[key], before[key], max_regress)]
    return Comparison(
        base=name,
        max_regress=max_regress,
        compared=len(both),
        regressed=tuple(regressed),
        not_in_base=tuple(row.title for key, row in now.items() if key not in before),
        only_in_base=tuple(row.title for key, row in before.items() if key not in now),
        environment_differs=tuple(_differences(report.environment, base.environment)),
    )


def _slower(row: Row, base: Row, max_regress: float) -> Iterator[Change]:
    for measure in MEASURES:
        seconds, before = getattr(row, measure).median, getattr(base, measure).median
        if seconds > before * (1 + max_regress):
            yield Change(row.title, measure, before, seconds)


def _differences(now: Environment, base: Environment) -> Iterator[str]:
    for what in ("cpu", "cores", "system", "python"):
        then, here = getattr(base, what), getattr(now, what)
        if then != here:
            yield f"{what} was {then}, is {here}"
    for package in dict.fromkeys([*base.versions, *now.versions]):
        was, is_now = (stamp.versions.get(package, "not installed") for stamp in (base, now))
        if was != is_now:
            yield f"{package} was {was}, is {is_now}"
    slower = now.matrix_product_gflops / base.matrix_product_gflops
    if not 0.9 < slower < 1.1:
        yield (
            f"the machine's matrix product was {base.matrix_product_gflops} GFLOP/s, is now "
            f"{now.matrix_product_gflops}"
        )
