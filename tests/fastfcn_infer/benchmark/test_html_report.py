import base64
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from benchmark_reports import report, row, slower
from fastfcn_infer.benchmark import figures
from fastfcn_infer.benchmark.compare import compare
from fastfcn_infer.benchmark.figures import load_matplotlib, short_titles
from fastfcn_infer.benchmark.html_report import html_report
from fastfcn_infer.errors import BackendMissing

NAMED = replace(row("a <script> & $x$"), distribution=tuple(0.1 + 0.01 * i for i in range(21)))


class Page(HTMLParser):
    """Collects the tags of a page, and refuses one whose tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.images: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag == "img":
            self.images.append(str(dict(attrs)["src"]))
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_in_itself_and_runs_nothing() -> None:
    pytest.importorskip("matplotlib")
    found = report(NAMED, replace(NAMED, precision="int8", distribution=()))
    text = html_report(replace(found, comparison=compare(found, slower(found, 0.9), "b", 0.05)))
    page = Page(text)
    assert "script" not in page.seen
    assert "a &lt;script&gt; &amp; $x$" in text
    assert re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]*", "", text)) is None
    assert len(page.images) == 3
    for image in page.images:
        data = base64.b64decode(image.removeprefix("data:image/png;base64,"))
        drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert drawn is not None
        assert drawn.std() > 5  # something is drawn
    for said in ("slower than b", "a processor", "onnxruntime", "2.0.0", "100.0 [100.0"):
        assert said in text


def test_numbers_in_the_chart_of_throughput_name_both_that_are_drawn() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.add_subplot()
    figures._throughput(axes, [row(), replace(row(batch=4), network_ips=2345.6)], ["a", "b"])
    assert [text.get_text() for text in axes.texts] == ["10 of 11.1", "40 of 2346"]
    assert "end to end of network alone" in axes.get_xlabel()


def test_a_page_says_how_busy_others_kept_the_machine_and_if_nobody_knows() -> None:
    pytest.importorskip("matplotlib")
    busy = html_report(report(NAMED, replace(NAMED, others_took=0.42)))
    unknown = html_report(report(replace(NAMED, others_took=None)))
    assert re.search(r"used by other processes.{,30}at most 42\.0%", busy)
    assert re.search(r"used by other processes.{,30}unknown", unknown)


def test_rows_are_named_by_what_they_differ_in() -> None:
    one = row("m")
    assert short_titles([one]) == ["m, onnx_runtime, fp32"]
    others = [one, replace(one, precision="int8"), replace(one, batch=4)]
    assert short_titles(others) == ["fp32, batch 1", "int8, batch 1", "fp32, batch 4"]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendMissing, match=r"matplotlib.*report"):
        load_matplotlib()
