from html.parser import HTMLParser

from fastfcn_infer.system import html_page

ODD = '<b> & "x"'


class Cells(HTMLParser):
    """Collects the cells of a table: tag, class and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str | None, str]] = []
        self._tag: tuple[str, str | None] | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = (tag, dict(attrs).get("class")) if tag in ("th", "td") else None

    def handle_data(self, data: str) -> None:
        if self._tag is not None:
            self.found.append((*self._tag, data))

    def handle_endtag(self, tag: str) -> None:
        self._tag = None


def test_cells_are_text_and_numbers_are_on_the_right() -> None:
    assert Cells(html_page.table([("name", "pixels"), (ODD, "7")], left=(0,))).found == [
        ("th", None, "name"),
        ("th", "number", "pixels"),
        ("td", None, ODD),
        ("td", "number", "7"),
    ]
    assert Cells(html_page.facts([("why", ODD)])).found == [
        ("th", None, "why"),
        ("td", None, ODD),
    ]


def test_titles_are_text() -> None:
    escaped = "&lt;b&gt; &amp; &quot;x&quot;"
    assert f"<title>{escaped}</title>" in html_page.page(ODD, [])
    assert html_page.picture(b"?", "png", ODD) == (
        f'<img alt="{escaped}" src="data:image/png;base64,Pw==">'
    )
