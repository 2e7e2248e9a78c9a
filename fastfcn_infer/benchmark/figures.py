"""The figures of an HTML report, drawn by matplotlib (extra ``report``)."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from fastfcn_infer.benchmark.report import Row
from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.inference.pipeline import STAGES
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package

_WIDTH = 9.0  # inches
_DOTS = 144  # an inch
# Of Okabe and Ito, which people who confuse red and green tell apart.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
_INK = "#333333"


def load_matplotlib() -> Any:
    """Import matplotlib's figures, which need no display.

    Raises:
        BackendMissing: it is not installed, or cannot be imported; names the extra.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise BackendMissing(
            f"A report in HTML needs {missing_package(error)}. Run: {install('report')}"
        ) from error
    return matplotlib


def figures(rows: Sequence[Row]) -> dict[str, bytes]:
    """Draw the figures of some rows.

    Returns:
        Title -> PNG.

    Raises:
        BackendMissing: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    names = short_titles(rows)
    drawings: dict[str, Callable[[Any], None]] = {
        "Pictures a second": lambda axes: _throughput(axes, rows, names),
        "Milliseconds a picture, stage by stage": lambda axes: _stages(axes, rows, names),
    }
    if any(row.distribution for row in rows):
        drawings["Distribution of the times of runs"] = lambda axes: _distribution(
            axes, rows, names
        )
    return {
        title: _png(matplotlib, draw, len(rows), wide=len(names) > 1)
        for title, draw in drawings.items()
    }


def short_titles(rows: Sequence[Row]) -> list[str]:
    """Name rows by what they differ in, in the order of the rows."""
    parts = [
        {
            "model": row.model,
            "backend": row.backend,
            "precision": row.precision,
            "device": row.device,
            "scenario": row.scenario,
            "procedure": row.procedure,
            "size": f"{row.size[0]}x{row.size[1]}",
            "batch": f"batch {row.batch}",
            "threads": f"{row.threads} threads",
        }
        for row in rows
    ]
    known = parts[0] if parts else {}
    differing = [what for what in known if len({each[what] for each in parts}) > 1]
    shown = differing or ["model", "backend", "precision"]
    return [", ".join(each[what] for what in shown) for each in parts]


def _png(matplotlib: Any, draw: Callable[[Any], None], bars: int, *, wide: bool) -> bytes:
    figure = matplotlib.figure.Figure(
        (_WIDTH, 1.3 + 0.42 * max(bars, 3 if wide else 2)), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", colors=_INK, labelsize=9)
    draw(axes)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS, metadata={"Software": None})
    return file.getvalue()


def _throughput(axes: Any, rows: Sequence[Row], names: Sequence[str]) -> None:
    for at, row in enumerate(rows):
        low, high = (
            row.batch / seconds
            for seconds in (row.end_to_end.upper_quartile, row.end_to_end.lower_quartile)
        )
        label = "end to end; whiskers: quartiles" if at == 0 else None
        spread = [[max(0.0, row.ips - low)], [max(0.0, high - row.ips)]]
        axes.barh(
            at,
            row.ips,
            xerr=spread,
            color=_COLORS[0],
            height=0.62,
            capsize=3,
            label=label,
            error_kw={"ecolor": _INK, "elinewidth": 1.2},
        )
        axes.plot(
            [row.network_ips] * 2,
            [at - 0.38, at + 0.38],
            color=_COLORS[5],
            linewidth=2.5,
            label="network alone" if at == 0 else None,
        )
        end = max(row.ips, row.network_ips, high)
        # The text stands behind whichever is longer, so it names both.
        text = f"{_short(row.ips)} of {_short(row.network_ips)}"
        axes.annotate(text, (end, at), (6, 0), textcoords="offset points", va="center")
    _label_bars(axes, names, "pictures a second; in numbers: end to end of network alone")


def _stages(axes: Any, rows: Sequence[Row], names: Sequence[str]) -> None:
    for at, row in enumerate(rows):
        left = 0.0
        for color, stage in zip(_COLORS, STAGES, strict=False):
            width = row.stages.get(stage, 0.0) * 1e3 / row.batch
            label = stage if at == 0 else None
            axes.barh(at, width, left=left, color=color, height=0.62, label=label)
            left += width
        whole = row.end_to_end.median * 1e3 / row.batch
        axes.plot(
            [whole] * 2,
            [at - 0.38, at + 0.38],
            color=_INK,
            linewidth=2.5,
            label="end to end, median" if at == 0 else None,
        )
    _label_bars(axes, names, "milliseconds a picture; stages that overlap add up to more")


def _label_bars(axes: Any, names: Sequence[str], unit: str) -> None:
    axes.set_yticks(range(len(names)), [_plain(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first row on top
    axes.set_xlabel(unit, color=_INK)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.08)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)


def _distribution(axes: Any, rows: Sequence[Row], names: Sequence[str]) -> None:
    smallest, largest = float("inf"), 0.0
    for at, (row, name) in enumerate(zip(rows, names, strict=True)):
        if not row.distribution:
            continue
        shares = [
            100 * step / (len(row.distribution) - 1) for step in range(len(row.distribution))
        ]
        taken = [seconds * 1e3 / row.batch for seconds in row.distribution]
        style = ("-", "--", ":", "-.")[at // len(_COLORS) % 4]
        color = _COLORS[at % len(_COLORS)]
        axes.plot(taken, shares, style, color=color, label=_plain(name), linewidth=1.8)
        smallest, largest = min(smallest, taken[0]), max(largest, taken[-1])
    if largest > 8 * smallest > 0:
        axes.set_xscale("log", subs=(2, 5))
        for axis_format in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis_format("{x:g}")
    axes.set_xlabel("milliseconds a picture, at most", color=_INK)
    axes.set_ylabel("% of runs", color=_INK)
    axes.set_ylim(0, 102)
    axes.grid(alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 1000 else f"{number:.0f}"


def _plain(text: str) -> str:
    """Keep matplotlib from reading a name as a formula."""
    return text.replace("$", r"\$")
