"""Build in a temporary folder and leave nothing in the source tree; all else is in pyproject.toml.

setuptools packs whatever lies in ``build/lib`` into a wheel, modules that were moved or deleted since
the last build among them.
"""

import atexit
import shutil
import tempfile

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


setup(cmdclass={"build": Build, "egg_info": EggInfo})
