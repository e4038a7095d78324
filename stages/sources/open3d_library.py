"""Imports Open3D late, also on machines that lack the system's libusb."""

import ctypes
from types import ModuleType


def load_open3d() -> ModuleType:
    """Return the `open3d` module.

    Open3D's wheel links to `libusb-1.0.so.0`, which bare machines and containers lack; the PyPI
    package `libusb-package` has one. Raises ImportError with the fix if there is neither.
    """
    _ensure_libusb()
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(
            f"Open3D cannot be imported: {error}. Stage one needs it; from the checkout: "
            "pip install -e '.[precompute]'"
        ) from error
    return open3d


def _ensure_libusb() -> None:
    try:
        ctypes.CDLL("libusb-1.0.so.0", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        try:
            import libusb_package
        except ImportError:
            return  # Open3D's own error names what is missing
        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
