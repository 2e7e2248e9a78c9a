"""Compare a benchmark's report with an earlier one, so that a build can fail if it is slower."""

from collections.abc import Iterator, Sequence
from typing import Literal

from fastfcn_infer.benchmark.environment import Environment
from fastfcn_infer.benchmark.label_maps import agreement_of_rows
from fastfcn_infer.benchmark.report import Change, Comparison, Pair, Report, Row
from fastfcn_infer.system.excerpt import listing

MEASURES: tuple[Literal["network", "end_to_end"], ...] = ("network", "end_to_end")


def compare(report: Report, base: Report, name: str, max_regress: float) -> Comparison:
    """Compare the medians of each row with those of the row of the base that is most like it.

    That is the same row, or one that differs in precision, backend or model only, see `_alike`.

    Args:
        report: of this run.
        base: of an earlier run.
        name: of `base`, for messages.
        max_regress: how much slower a median may be, as a share: 0.05 for 5 %.

    Raises:
        ValueError: the base has no row like one of these, so nothing was compared; that must not pass.
            Or a label map of the base is damaged.
    """
    paired = {row.key: _alike(row, base.rows) for row in report.rows}
    both = [(row, other) for row in report.rows if (other := paired[row.key]) is not None]
    if not both:
        raise ValueError(
            f"{name} has none of the rows that were measured, so there is nothing to compare. It "
            f"has {listing([row.title for row in base.rows], '; ') or 'no rows at all'}. Rows match "
            "if model (or its classes), scenario, procedure, pictures, size, batch and threads are the same."
        )
    regressed = [change for row, other in both for change in _slower(row, other, max_regress)]
    used = {other.key for _, other in both}
    return Comparison(
        base=name,
        max_regress=max_regress,
        compared=len(both),
        regressed=tuple(regressed),
        not_in_base=tuple(row.title for row in report.rows if paired[row.key] is None),
        only_in_base=tuple(row.title for row in base.rows if row.key not in used),
        environment_differs=tuple(_differences(report.environment, base.environment)),
        pairs=tuple(_pair(row, other) for row, other in both),
    )


def _alike(row: Row, others: Sequence[Row]) -> Row | None:
    """Find the row to compare with: of the same work, and least different in what does it.

    Another precision is a smaller difference than another backend, and that than another model, which has to
    have the same classes. Of several the fastest is taken, so that no comparison is easier than it could be.
    """
    same = [
        other
        for other in others
        if other.work == row.work
        and (other.model == row.model or (row.classes and other.classes == row.classes))
    ]
    return min(
        same,
        key=lambda other: (
            other.model != row.model,
            other.backend != row.backend,
            other.precision != row.precision,
            other.end_to_end.median,
        ),
        default=None,
    )


def _pair(row: Row, base: Row) -> Pair:
    differs = tuple(
        f"{what}: {getattr(base, what)} -> {getattr(row, what)}"
        for what in ("model", "backend", "device", "precision")
        if getattr(base, what) != getattr(row, what)
    )
    agreement, why = agreement_of_rows(row, base)
    speed = base.end_to_end.median / row.end_to_end.median
    return Pair(row.title, base.title, differs, speed, agreement, why)


def _slower(row: Row, base: Row, max_regress: float) -> Iterator[Change]:
    title = row.title if row.key == base.key else f"{row.title} (was {base.title})"
    for measure in MEASURES:
        seconds, before = getattr(row, measure).median, getattr(base, measure).median
        if seconds > before * (1 + max_regress):
            yield Change(title, measure, before, seconds)


def _differences(now: Environment, base: Environment) -> Iterator[str]:
    for what in ("cpu", "cores", "system", "python"):
        then, here = getattr(base, what), getattr(now, what)
        if then != here:
            yield f"{what} was {then}, is {here}"
    if base.features and now.features and base.features != now.features:
        then, here = ", ".join(base.features), ", ".join(now.features)
        yield f"the processor had {then}, has {here}"
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
