"""Packages that only one stage needs, and errors in a line: what is missing, and how to get it."""

from importlib.util import find_spec

from pydantic import ValidationError

from stages.settings import in_a_line

# Of each extra of pyproject.toml, what is imported of it.
EXTRAS = {
    "precompute": (
        "cv2", "h5py", "libusb_package", "open3d", "open_clip", "plyfile", "timm", "transformers",
    ),
    "training": ("matplotlib", "plotly", "scipy", "sklearn", "tensorboard", "torch"),
}  # fmt: skip


def require(*packages: str) -> None:
    """See that packages are there, without importing them. Raises ImportError for the first."""
    for name in packages:
        try:
            found = find_spec(name)
        except ImportError:
            found = None
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def explained(error: BaseException) -> str:
    """An error in a line; of a package that is not installed, with the way to get it."""
    match error:
        case ModuleNotFoundError(name=str(module)):
            package = module.partition(".")[0]
            for extra, packages in EXTRAS.items():
                if package in packages:
                    return (
                        f"the package {package} is not installed here; from the checkout: "
                        f"pip install -e '.[{extra}]'"
                    )
        case OSError(filename=path, strerror=str(reason)) if path is not None:
            return f"{path}: {reason}"
        case ValidationError():
            return f"a configuration that was stored is of another version: {in_a_line(error)}"
    return " ".join(str(error).split())
