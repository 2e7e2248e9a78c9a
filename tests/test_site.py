"""The documentation site: `mkdocs build --strict` in .ci/run finds broken links; this is the rest."""

import importlib.util
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml

import fastfcn_export
import fastfcn_infer
from command_line import ROOT, options
from fastfcn_infer.cli import exit_codes
from fastfcn_infer.errors import FastFCNError

DOCS = ROOT / "docs"
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def load_generator() -> ModuleType:
    """Import docs/generate.py by its path: an installed package may be called docs."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()
PAGES: dict[str, str] = GENERATOR.pages()


def listed(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for below in nav.values() if isinstance(nav, dict) else nav:
            yield from listed(below)


def text_of(page: str) -> str:
    return PAGES[page] if page in PAGES else (DOCS / page).read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once() -> None:
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages = list(listed(CONFIG["nav"]))
    assert sorted(pages) == sorted(written | set(PAGES))


def test_nothing_is_loaded_from_other_hosts() -> None:
    assert CONFIG["theme"]["font"] is False
    assert "analytics" not in str(CONFIG)
    loaded = re.compile(r"!\[[^\]]*\]\(https?:|<(?:img|script|link|iframe)[^>]*https?:")
    assert [page for page in listed(CONFIG["nav"]) if loaded.search(text_of(page))] == []


def test_every_public_name_has_an_entry_in_the_reference() -> None:
    entries = set(re.findall(r"^::: (\S+)", "\n".join(map(text_of, listed(CONFIG["nav"]))), re.M))
    errors = set(vars(fastfcn_infer.errors))  # one entry for the module
    public = {f"fastfcn_infer.{name}" for name in set(fastfcn_infer.__all__) - errors}
    public |= {f"fastfcn_export.{name}" for name in fastfcn_export.__all__}
    assert entries == public - {"fastfcn_infer.__version__"} | {"fastfcn_infer.errors"}


@pytest.mark.parametrize(
    ("page", "makers"),
    [
        ("reference/fastfcn.md", ["make_fastfcn_parser"]),
        ("reference/fastfcn-export.md", ["make_export_parser"]),
        ("reference/fastfcn-train.md", ["make_train_parser", "make_align_parser"]),
    ],
)
def test_the_page_of_a_command_has_all_its_options_and_exit_codes(
    page: str, makers: list[str]
) -> None:
    text = PAGES[page]
    for maker in makers:
        parser = getattr(GENERATOR, maker)()
        named = set(re.findall(r"`(--?[\w-]+)", text))
        assert set(options(parser)) - {"-h", "--help"} <= named
        for code in re.findall(r"\b(\d+) [a-z]", (parser.epilog or "").partition("codes:")[2]):
            assert f"| {code} | " in text


def test_the_page_on_failures_has_every_exit_code_and_every_kind_of_error() -> None:
    text = text_of("troubleshooting.md")
    codes = {value for name, value in vars(exit_codes).items() if re.match("[A-Z]", name)} - {None}
    listed = {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.M)}
    assert listed == {code for code in codes if isinstance(code, int)}
    kinds = {
        kind.__name__
        for kind in FastFCNError.__subclasses__()
        if kind.__module__.endswith("errors")
    }
    assert {kind for kind in kinds if kind not in text} - {"TrainingError"} == set()


def test_the_page_on_failures_quotes_messages_as_they_are() -> None:
    quoted = set(
        re.findall(
            r'"([^"]{5,})"',
            re.sub(r"```.*?```|`[^`]*`", "", text_of("troubleshooting.md"), flags=re.S),
        )
    )
    rooms = (ROOT / "fastfcn_infer", ROOT / "export" / "fastfcn_export")
    code = "".join(
        path.read_text(encoding="utf-8") for room in rooms for path in sorted(room.rglob("*.py"))
    )
    assert len(quoted) > 20
    assert {words for words in quoted if words not in code} == set()


def test_the_page_of_the_manifest_has_every_key_of_the_embedded_one() -> None:
    path = ROOT / "fastfcn_infer/assets/models/fastfcn-resnet18-camvid/manifest.json"
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    text = PAGES["reference/manifest.md"]
    for part in (
        manifest,
        manifest["model"],
        *(manifest["model"][n] for n in ("input", "output")),
    ):
        assert [key for key in part if f"| `{key}` | " not in text] == []
    assert (
        "| `align_corners` | true or false | required | Convention of the last resize, from logits to the picture |"
        in text
    )


def test_bars_in_the_code_of_a_table_lose_the_escape_that_github_needs() -> None:
    text = "| `--a x\\|y` | b \\| c |\n`z\\|z`"
    assert GENERATOR.on_page_markdown(text) == "| `--a x|y` | b \\| c |\n`z\\|z`"


def test_the_page_on_speed_shows_the_tables_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = readme.split("<!-- speed: ")[1].split("<!-- /speed -->")[0].splitlines()
    shown = GENERATOR.on_page_markdown(text_of("speed.md")).splitlines()
    rows = [line for line in tables if line.startswith("| ")]
    assert len(rows) > 20
    assert [row for row in rows if row not in shown] == []


def test_nothing_in_a_help_text_becomes_markup_but_its_code() -> None:
    assert GENERATOR._text("x_y of `a_b|c`, [d] 100%%") == r"x\_y of `a_b|c`, \[d\] 100%"
