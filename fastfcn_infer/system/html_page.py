"""Pages of HTML that need no other file: no scripts, nothing from the network, pictures inside."""

import base64
from collections.abc import Collection, Iterable, Sequence
from html import escape

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.date { color: #666; margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
.number { text-align: right; }
.text td { white-space: normal; }
.slower { color: #a40000; font-weight: 600; }
img { max-width: 100%; height: auto; display: block; }
p.note { color: #444; font-size: 0.9rem; margin: 0.3rem 0; }
"""


_NUMBER = ' class="number"'


def page(title: str, body: Iterable[str]) -> str:
    """Write a page.

    Args:
        title: its title, as text.
        body: lines of HTML.
    """
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
        *body,
        "</body>",
        "</html>",
    ]
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]], *, left: Collection[int]) -> str:
    """Write a table that scrolls by itself if it is wider than the page.

    Args:
        rows: the cells, as text; the first row is the head.
        left: indices of the columns that are aligned to the left; the others, numbers, to the right.
    """
    head, *body = rows
    lines = [_row("th", head, left), "</thead><tbody>", *(_row("td", row, left) for row in body)]
    return "\n".join(['<div class="wide"><table><thead>', *lines, "</tbody></table></div>"])


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Write names and what is known of each, as text."""
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in rows)
    return "\n".join(['<table class="text">', *lines, "</table>"])


def picture(data: bytes, kind: str, title: str) -> str:
    """Write a picture into the page.

    Args:
        data: content of its file.
        kind: of the file: ``png`` or ``jpeg``.
        title: for those who do not see it, as text.
    """
    text = base64.b64encode(data).decode()
    return f'<img alt="{escape(title)}" src="data:image/{kind};base64,{text}">'


def _row(tag: str, cells: Sequence[str], left: Collection[int]) -> str:
    filled = (
        f"<{tag}{_NUMBER if at not in left else ''}>{escape(cell)}</{tag}>"
        for at, cell in enumerate(cells)
    )
    return f"<tr>{''.join(filled)}</tr>"
