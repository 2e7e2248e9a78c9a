"""The pages of the site that are made from the code: commands and the manifest; see `mkdocs.yml`.

MkDocs calls `on_files` before it builds, so these pages are never older than the code.
"""

import argparse
import ast
import dataclasses
import inspect
import io
import re
import textwrap
import tokenize
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fastfcn_export.__main__ import make_parser as make_export_parser
from fastfcn_infer.artifact.manifest import NAME, Manifest
from fastfcn_infer.cli.main import make_parser as make_fastfcn_parser
from fastfcn_training.alignment.command import make_parser as make_align_parser
from fastfcn_training.cli.arguments import make_parser as make_train_parser

_SCALARS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_HELP = "--help"
_CODES = "exit codes: "  # in an epilog


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site; the name is MkDocs'."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in the README's tables, and take back the escapes of bars in code that GitHub needs; the name is MkDocs'."""
    markdown = markdown.replace("<!-- tables of the README -->", readme_tables())
    return re.sub(
        r"^\|.*$",
        lambda row: re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), row[0]),
        markdown,
        flags=re.MULTILINE,
    )


def readme_tables() -> str:
    """Return the tables of speed in the README, which lies outside the site."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    _, _, after = text.partition("<!-- speed: benchmarks/readme_table.py -->\n")
    return after.partition("<!-- /speed -->")[0]


def pages() -> dict[str, str]:
    """Return the text of each generated page, by its path in the site."""
    return {
        "reference/fastfcn.md": commands_page([make_fastfcn_parser()]),
        "reference/fastfcn-export.md": commands_page([make_export_parser()]),
        "reference/fastfcn-train.md": commands_page([make_train_parser(), make_align_parser()]),
        "reference/manifest.md": manifest_page(Manifest),
    }


# Commands


def commands_page(parsers: Sequence[argparse.ArgumentParser]) -> str:
    """Describe a command, and those below it, with every option and every exit code."""
    first, *others = parsers
    parts = [_command(first, level=1), *(_command(parser, level=2) for parser in others)]
    for below in _commands_below(first):
        parts.append(_command(below, level=2))
    return "\n".join(parts)


def exit_codes(parser: argparse.ArgumentParser) -> list[tuple[int, str]]:
    """Return the exit codes that a parser's epilog lists, each with its meaning."""
    _, _, listed = " ".join((parser.epilog or "").split()).partition(_CODES)
    return [
        (int(code), meaning) for code, meaning in re.findall(r"(\d+) (.+?)(?=, \d+ |\.?$)", listed)
    ]


def _command(parser: argparse.ArgumentParser, *, level: int) -> str:
    lines = [f"{'#' * level} {parser.prog}", "", _text(parser.description), ""]
    lines += ["```text", _usage(parser), "```", ""]
    for group in parser._action_groups:
        shown = [
            action
            for action in group._group_actions
            if action.help != argparse.SUPPRESS and _HELP not in action.option_strings
        ]
        title = group.title or ""
        if shown and title not in ("positional arguments", "options"):
            lines += [f"**{title[:1].upper()}{title[1:]}**", ""]
        for action in shown:
            lines += _action(action)
    before, _, _ = " ".join((parser.epilog or "").split()).partition(_CODES)
    lines += [_text(before), ""]
    if exit_codes(parser):
        lines += [f"{'#' * (level + 1)} Exit codes of {parser.prog}", ""]
        lines += ["| code | meaning |", "| --- | --- |"]
        lines += [f"| {code} | {_text(meaning)} |" for code, meaning in exit_codes(parser)]
        lines += [""]
    return "\n".join(lines)


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the shape of a command line, without the options, which the page lists anyway."""
    if parser.usage is not None:
        return parser.usage.strip()
    required = [action for action in parser._actions if action.required and action.option_strings]
    positional = [action for action in parser._actions if not action.option_strings]
    words = [parser.prog, *(_invocation(action) for action in (*positional, *required))]
    return " ".join([*words, "[option ...]"])


def _action(action: argparse.Action) -> Iterator[str]:
    """Describe an argument or option as an entry of a definition list."""
    if isinstance(action, argparse._SubParsersAction):
        for shown in action._choices_actions:
            yield from (f"[`{shown.dest}`](#{_anchor(f'fastfcn {shown.dest}')})", "")
            yield from (f":   {_text(shown.help)}", "")
        return
    names = action.option_strings or [""]
    words = [" ".join(filter(None, (name, _value(action)))) for name in names]
    yield from (", ".join(f"`{word}`" for word in words), "")
    yield from (f":   {_text(action.help)}", "")


def _invocation(action: argparse.Action) -> str:
    return " ".join(filter(None, (next(iter(action.option_strings), ""), _value(action))))


def _value(action: argparse.Action) -> str:
    """Return how the value of an argument is written, such as ``PICTURE [PICTURE ...]``."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    name = action.metavar
    if name is None and isinstance(action.choices, range):
        name = f"{action.choices[0]}..{action.choices[-1]}"
    elif name is None and action.choices is not None:
        name = "|".join(map(str, action.choices))
    elif name is None:
        name = action.dest.upper()
    if isinstance(action.nargs, int):
        return " ".join([name] * action.nargs)
    repeated = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}
    return repeated.get(str(action.nargs), name)


def _commands_below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _anchor(title: str) -> str:
    return title.replace(" ", "-")


def _text(text: str | None) -> str:
    """Return a help text as Markdown shows it: nothing in it is markup but its own backticks."""
    words = " ".join((text or "").replace("%%", "%").split())
    return re.sub(r"`[^`]*`|[*_<|\[\]]", lambda m: m[0] if len(m[0]) > 1 else f"\\{m[0]}", words)


# The manifest


def manifest_page(kind: type) -> str:
    """Describe the JSON of a record, and of those in it, field by field."""
    lines = [
        f"# {NAME}",
        "",
        f"The file `{NAME}` of an artifact is a JSON object. Unknown keys and values of another type are refused, with a",
        "message that lists all of them. Fields with a default may be omitted. `model` is also stored inside the ONNX",
        "file, under the metadata key `fastfcn`. This page is generated from the code that reads the file.",
        "",
    ]
    for record in _records(kind):
        title = "The whole file" if record is kind else record.__name__
        body, described = _docstring(record)
        lines += [f"## {title} {{ #{record.__name__.lower()} }}", "", *body, ""]
        lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        described |= _comments(record)
        hints = get_type_hints(record)
        for field in dataclasses.fields(record):
            cells = (f"`{field.name}`", _type(hints[field.name]), _default(field))
            lines += [f"| {' | '.join(cells)} | {_meaning(described.get(field.name, ''))} |"]
        lines += [""]
    return "\n".join(lines)


def _meaning(text: str) -> str:
    """Return what a comment says as the cell of a table, in the words of JSON."""
    return re.sub(r"\bNone\b", "null", text[:1].upper() + text[1:]).removesuffix(".")


def _records(kind: type) -> list[type]:
    """List a dataclass and those that its fields hold, each once."""
    found = [kind]
    for record in found:
        for hint in get_type_hints(record).values():
            found += [inner for inner in _dataclasses(hint) if inner not in found]
    return found


def _dataclasses(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for inner in get_args(hint):
        yield from _dataclasses(inner)


def _docstring(record: type) -> tuple[list[str], dict[str, str]]:
    """Return the lines of a docstring before ``Args:``, as Markdown, and what it says of each field."""
    text = (inspect.getdoc(record) or "").replace("``", "`")
    body, _, arguments = text.partition("Args:\n")
    entries = re.split(r"\n(?=\w+: )", textwrap.dedent(arguments).strip())
    parts = (entry.partition(": ") for entry in entries)
    return body.strip().splitlines(), {name: _text(said) for name, _, said in parts if said}


def _comments(record: type) -> dict[str, str]:
    """Return the comment of each field: behind it, or on the lines above it."""
    source = textwrap.dedent(inspect.getsource(record))
    behind: dict[int, str] = {}
    alone: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            place = alone if token.line.strip().startswith("#") else behind
            place[token.start[0]] = token.string.lstrip("# ")
    (body,) = ast.parse(source).body
    found = {}
    for node in getattr(body, "body", []):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above = node.lineno - 1
        while above in alone:
            above -= 1
        lines = [alone[line] for line in range(above + 1, node.lineno)]
        last = node.end_lineno or node.lineno
        lines += [behind[line] for line in range(node.lineno, last + 1) if line in behind]
        if lines:
            found[node.target.id] = _text(" ".join(lines))
    return found


def _type(hint: Any) -> str:
    """Say in words which JSON a type takes."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is type(None):
        return "null"
    if origin in (Union, types.UnionType):
        return " or ".join(map(_type, inner))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return f"list of {_type(inner[0])}"
    if origin is tuple:
        kinds = dict.fromkeys(map(_type, inner))
        return f"list of {len(inner)}: {', '.join(kinds)}"
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {_type(inner[1])}"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return _SCALARS[hint]


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default is None:
        return "null"
    if field.default == ():
        return "empty"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`".replace("None", "null")
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
