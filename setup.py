"""Build in a temporary folder and leave nothing in the source tree; make the description portable.

All else is in pyproject.toml.

setuptools packs whatever lies in ``build/lib`` into a wheel, modules that were moved or deleted since
the last build among them.
"""

import atexit
import re
import shutil
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.egg_info import egg_info


def temporary_folder() -> str:
    """Make a folder that is deleted when this process ends."""
    folder = tempfile.mkdtemp(prefix="fastfcn-infer-build-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Build(build):
    """Builds in a new folder, unless the caller names one."""

    def initialize_options(self) -> None:
        """Set the folder that ``--build-base`` changes."""
        super().initialize_options()
        self.build_base = temporary_folder()


class EggInfo(egg_info):
    """Writes metadata to a new folder, unless the caller names one."""

    def initialize_options(self) -> None:
        """Set the folder that ``--egg-base`` changes."""
        super().initialize_options()
        self.egg_base = temporary_folder()


def description() -> str:
    """Return the README for readers who do not have the repository's other files beside it.

    Pictures of the repository are left out; links to its files become their paths.
    """
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n+", "", text)

    def path(link: "re.Match[str]") -> str:
        label, target = link.groups()
        return f"`{target}`" if label == target else f"{label} (`{target}`)"

    return re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:|#)([^)]*)\)", path, text)


setup(
    cmdclass={"build": Build, "egg_info": EggInfo},
    long_description=description(),
    long_description_content_type="text/markdown",
)
