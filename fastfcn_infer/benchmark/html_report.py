"""A benchmark's report as one HTML file: tables and figures."""

from collections.abc import Iterator
from html import escape

from fastfcn_infer.benchmark.figures import figures
from fastfcn_infer.benchmark.report import (
    Report,
    cells,
    columns,
    comparison_lines,
    is_number,
    notes,
    others_text,
)
from fastfcn_infer.system import html_page


def html_report(report: Report) -> str:
    """Write a report as a page of its own.

    Raises:
        BackendMissing: matplotlib is not installed.
    """
    models = list(dict.fromkeys(row.model for row in report.rows))
    title = f"Benchmark of {', '.join(models)}" if models else "Benchmark"
    names = columns(report)
    left = [at for at, name in enumerate(names) if not is_number(name)]
    return html_page.page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="date">{escape(report.environment.date)}</p>',
            *_comparison(report),
            *_figures(report),
            "<h2>Figures in numbers</h2>",
            html_page.table([names, *cells(report)], left=left),
            *(f'<p class="note">{escape(note.replace("`", ""))}</p>' for note in notes(report)),
            "<h2>Machine and versions</h2>",
            html_page.facts(_facts(report).items()),
        ],
    )


def _comparison(report: Report) -> Iterator[str]:
    found = report.comparison
    if found is None:
        return
    yield "<h2>Compared with an earlier run</h2>"
    slower = len(found.regressed)
    yield "<ul>"
    for number, line in enumerate(comparison_lines(found)):
        kind = ' class="slower"' if number < slower else ""
        yield f"<li{kind}>{escape(line)}</li>"
    yield "</ul>"


def _figures(report: Report) -> Iterator[str]:
    for title, png in figures(report.rows).items():
        yield f"<h2>{escape(title)}</h2>"
        yield html_page.picture(png, "png", title)


def _facts(report: Report) -> dict[str, str]:
    stamp = report.environment
    load = "unknown" if stamp.load_average_1_min is None else f"{stamp.load_average_1_min:.2f}"
    return {
        "processor": stamp.cpu,
        "features": ", ".join(stamp.features) or "unknown",
        "processors": str(stamp.cores),
        "matrix product, float32": f"{stamp.matrix_product_gflops} GFLOP/s",
        "load average before": load,
        "used by other processes": others_text(report),
        "system": stamp.system,
        "Python": stamp.python,
        **stamp.versions,
    }
