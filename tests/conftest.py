"""Every test sees the same environment, whatever the user's shell or a build server has set."""

import os

# Removed before anything is imported, because some are read once for the whole process.
_REMOVED = (
    "COLUMNS",
    "FORCE_COLOR",
    "GLOG_minloglevel",
    "NO_COLOR",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "XDG_CACHE_HOME",
)
for _name in list(os.environ):
    if _name in _REMOVED or _name.startswith("FASTFCN_"):
        del os.environ[_name]
