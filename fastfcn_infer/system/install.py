"""The command that installs an extra, from where this package itself came.

The index may not have this package at all: what was installed from a clone is extended from there.
"""

import json
import shlex
from functools import cache
from pathlib import Path

_NAME = "fastfcn-infer"


def install(extra: str, *more: str) -> str:
    """Return the command, ready to be pasted into a shell.

    Args:
        extra: a key of ``[project.optional-dependencies]``.
        more: options and further requirements, quoted as a shell needs them.
    """
    before, editable, requirement = _source()
    words = ["pip install", *(["-e"] if editable else []), f'"{requirement.format(extra)}"', *more]
    return before + " ".join(words)


@cache
def _source() -> tuple[str, bool, str]:
    """Return what comes before pip, whether the install is editable, and the requirement.

    Source: PEP 610, direct_url.json.
    """
    # Here, as these take a while to import, and few users ever lack a package.
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    known = f"{_NAME}[{{}}]"
    try:
        text = metadata.distribution(_NAME).read_text("direct_url.json")
        origin = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, OSError, ValueError):
        origin = {}
    url = str(origin.get("url", ""))
    if "dir_info" in origin:
        folder = Path(url2pathname(urlsplit(url).path))
        if _is_clone(folder):
            editable = bool(origin["dir_info"].get("editable"))
            return f"cd {shlex.quote(str(folder))} && ", editable, ".[{}]"
    if "vcs_info" in origin:
        vcs = origin["vcs_info"].get("vcs", "git")
        return "", False, f"{known} @ {vcs}+{_plain(url)}"
    if "archive_info" in origin:
        return "", False, f"{known} @ {_plain(url)}"
    here = Path(__file__).resolve().parents[2]
    if not origin and _is_clone(here):  # run from a clone that was never installed
        return f"cd {shlex.quote(str(here))} && ", False, ".[{}]"
    return "", False, known


def _plain(url: str) -> str:
    """Keep braces out of what `str.format` gets, and quotes out of the shell's double quotes."""
    for sign, code in {"{": "%7B", "}": "%7D", '"': "%22", "$": "%24", "`": "%60"}.items():
        url = url.replace(sign, code)
    return url


def _is_clone(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file() and (folder / "fastfcn_infer").is_dir()
