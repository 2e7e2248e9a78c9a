"""Every test sees the same environment, whatever the user's shell or a build server has set."""

import atexit
import importlib.util
import os
import signal
import tempfile

# Removed before anything is imported, because some are read once for the whole process.
_REMOVED = (
    "COLUMNS",
    "FORCE_COLOR",
    "GLOG_minloglevel",
    "NO_COLOR",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY",
    "XDG_CACHE_HOME",
)
for _name in list(os.environ):
    if _name in _REMOVED or _name.startswith("FASTFCN_"):
        del os.environ[_name]

# What the user keeps in the cache, such as what `fastfcn tune` measured, changes no test.
_CACHE = tempfile.TemporaryDirectory(prefix="fastfcn-tests-")
atexit.register(_CACHE.cleanup)
os.environ["XDG_CACHE_HOME"] = _CACHE.name

# Shells let commands in the background ignore Ctrl-C, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

if importlib.util.find_spec(
    "hypothesis"
):  # a machine that only runs the tests of a GPU may lack it
    from hypothesis import settings

    # A test that is slow because the machine is busy is not wrong. Developers look for new examples;
    # a build of the same commit gives the same answer.
    settings.register_profile("ours", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("ours")
