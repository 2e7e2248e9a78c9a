"""Which names in a pickle refuse a file wherever they stand, and which are skipped as opaque.

Nothing that a file names is ever imported or called, so the rule protects nobody from this reader; it
is about honesty. A file that names `os.system` carries an exploit, wherever the name stands, and is
refused loudly: somebody else will load it with an unpickler. A file that names a logger, a path or
the class of a training program carries data that inference has no need of.

A name refuses a file if it belongs to

- Python's standard library, except for the modules and names below, which only hold data;
- a package or module whose purpose is to run, fetch or load things (`_ACTING`);
- whatever else, but is itself called like a function that runs, loads or writes (`_ACTS`).

Every other name is some program's own class or function, and is skipped.
"""

import re
import sys

from fastfcn_export.checkpoint.pickle_reader.records import Name

GETATTR = frozenset({Name("builtins", "getattr"), Name("__builtin__", "getattr")})
"""Protocols 2 and 3 spell a name in a class as a call of it: ``getattr(HistoryBuffer, "min")``."""

_SPELLING = re.compile(r"[\w<>]+(\.[\w<>]+)*")
_BUILTINS = ("builtins", "__builtin__")
_ACTING_BUILTINS = frozenset({
    "__import__", "apply", "breakpoint", "classmethod", "compile", "delattr", "dir", "eval", "exec",
    "execfile", "exit", "file", "filter", "getattr", "globals", "help", "input", "locals", "map", "open",
    "print", "quit", "raw_input", "reduce", "reload", "setattr", "staticmethod", "super", "vars",
})  # fmt: skip
# Modules of the standard library of which all is data, or does no more than make data.
_DATA = frozenset({
    "_codecs", "_collections", "_datetime", "_decimal", "_pydecimal", "_pydatetime", "_random", "argparse",
    "array", "calendar", "cmath", "collections", "collections.abc", "configparser", "copyreg", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "http", "ipaddress", "itertools", "logging", "math",
    "numbers", "pathlib", "pathlib._local", "random", "re", "statistics", "string", "time", "typing",
    "uuid", "zoneinfo",
})  # fmt: skip
_DATA_NAMES = frozenset(
    {
        Name("_operator", "itemgetter"),
        Name("functools", "partial"),
        Name("functools", "cmp_to_key"),
        Name("operator", "itemgetter"),
        Name("types", "GenericAlias"),
        Name("types", "MappingProxyType"),
        Name("types", "SimpleNamespace"),
        Name("zoneinfo", "ZoneInfo._unpickle"),
    }
)
# Of no standard library any more, or of none in this Python.
_FORMER = frozenset({
    "BaseHTTPServer", "SimpleXMLRPCServer", "SocketServer", "asynchat", "asyncore", "cPickle", "cgi", "commands",
    "crypt", "distutils", "dl", "httplib", "imp", "lib2to3", "msilib", "new", "nntplib", "nt", "ntpath", "os2",
    "pipes", "popen2", "posix", "posixfile", "posixpath", "smtpd", "telnetlib", "thread", "urllib2", "winreg",
    "_winreg", "_winapi", "xmlrpclib",
})  # fmt: skip
_ACTING = frozenset({
    "IPython", "_pytest", "aiohttp", "cffi", "cloudpickle", "dill", "fabric", "fsspec", "httpx", "joblib",
    "jsonpickle", "numba", "numexpr", "numpy.ctypeslib", "numpy.distutils", "numpy.f2py", "numpy.testing",
    "paddle.distributed.launch", "paddle.hub", "paddle.utils", "paramiko", "pexpect", "pip", "pkg_resources",
    "psutil", "ptyprocess", "pytest", "requests", "setuptools", "sh", "torch._dynamo", "torch._inductor",
    "torch.distributed.elastic", "torch.distributed.launch", "torch.distributed.rpc", "torch.distributed.run",
    "torch.hub", "torch.jit", "torch.multiprocessing", "torch.package", "torch.utils.cpp_extension",
    "torch.utils.model_zoo", "urllib3", "win32api", "win32com",
})  # fmt: skip
_ACTS = frozenset({
    "DataSource", "Popen", "__builtins__", "__globals__", "__import__", "__subclasses__", "_legacy_load",
    "_load_from_bytes", "call", "check_call", "check_output", "eval", "exec", "execWrapper", "execfile",
    "execv", "execve", "fromfile", "genfromtxt", "getoutput", "import_module", "load", "load_module", "loads",
    "loadtxt", "memmap", "open", "popen", "read_pickle", "read_sql", "rmtree", "run_code", "run_path", "runcode",
    "runstring", "save", "savetxt", "spawn", "system", "tofile", "unlink", "urlopen",
})  # fmt: skip


def refuses(name: Name) -> bool:
    """Tell whether a file that has this name anywhere is refused; see the rules above.

    Args:
        name: of something that no tensor needs.
    """
    module, attribute = name.module, name.attribute
    if name in _DATA_NAMES:
        return False
    if not (_SPELLING.fullmatch(module) and _SPELLING.fullmatch(attribute)):
        return True
    if module in _BUILTINS:
        return attribute in _ACTING_BUILTINS or "." in attribute
    package = module.partition(".")[0]
    if package in _FORMER or package in sys.stdlib_module_names:
        return module not in _DATA or "." in attribute
    parts = module.split(".")
    if any(".".join(parts[: length + 1]) in _ACTING for length in range(len(parts))):
        return True
    return not _ACTS.isdisjoint(attribute.split("."))
