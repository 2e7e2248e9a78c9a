"""How messages name a package that could not be imported."""

from fastfcn_infer.system.excerpt import printable


def missing_package(error: ImportError) -> str:
    """Name what an import lacked, to follow "... needs".

    Args:
        error: what the import raised.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the package {error.name!r}, which is not installed"
    return f"a package that cannot be imported ({printable(str(error), 1000)})"
