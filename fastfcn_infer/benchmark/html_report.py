"""A benchmark's report as one HTML file: tables and figures inside it, no scripts, nothing from the network."""

import base64
from collections.abc import Iterator, Sequence
from html import escape

from fastfcn_infer.benchmark.environment import Environment
from fastfcn_infer.benchmark.figures import figures
from fastfcn_infer.benchmark.report import (
    Report,
    cells,
    columns,
    comparison_lines,
    is_number,
    notes,
)

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.date { color: #666; margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #888; vertical-align: bottom; }
.number { text-align: right; }
.facts th { border-bottom: 1px solid #ddd; }
.facts td { white-space: normal; }
.slower { color: #a40000; font-weight: 600; }
img { max-width: 100%; height: auto; display: block; }
p.note { color: #444; font-size: 0.9rem; margin: 0.3rem 0; }
"""


def html_report(report: Report) -> str:
    """Write a report as a page of its own.

    Raises:
        BackendMissing: matplotlib is not installed.
    """
    models = list(dict.fromkeys(row.model for row in report.rows))
    title = f"Benchmark of {', '.join(models)}" if models else "Benchmark"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="date">{escape(report.environment.date)}</p>',
        *_comparison(report),
        *_figures(report),
        "<h2>Figures in numbers</h2>",
        *_table(report),
        *(f'<p class="note">{escape(note.replace("`", ""))}</p>' for note in notes(report)),
        "<h2>Machine and versions</h2>",
        *_facts(report.environment),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines)


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
        data = base64.b64encode(png).decode()
        yield f"<h2>{escape(title)}</h2>"
        yield f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'


def _table(report: Report) -> Iterator[str]:
    names = columns(report)
    yield '<div class="wide"><table>'
    yield _line("th", names, names)
    for line in cells(report):
        yield _line("td", names, line)
    yield "</table></div>"


def _line(tag: str, names: Sequence[str], texts: Sequence[str]) -> str:
    filled = (
        f"<{tag}{_class(name)}>{escape(text)}</{tag}>"
        for name, text in zip(names, texts, strict=True)
    )
    return f"<tr>{''.join(filled)}</tr>"


def _class(name: str) -> str:
    return ' class="number"' if is_number(name) else ""


def _facts(stamp: Environment) -> Iterator[str]:
    load = "unknown" if stamp.load_average_1_min is None else f"{stamp.load_average_1_min:.2f}"
    facts = {
        "processor": stamp.cpu,
        "features": ", ".join(stamp.features) or "unknown",
        "processors": str(stamp.cores),
        "matrix product, float32": f"{stamp.matrix_product_gflops} GFLOP/s",
        "load average before": load,
        "system": stamp.system,
        "Python": stamp.python,
        **stamp.versions,
    }
    yield '<table class="facts">'
    for name, value in facts.items():
        yield f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
    yield "</table>"
