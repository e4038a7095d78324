"""Packages that only one stage needs: whether they are there, and how to get them."""

from importlib.util import find_spec

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
    package = (getattr(error, "name", None) or "") if isinstance(error, ImportError) else ""
    package = package.partition(".")[0]
    for extra, packages in EXTRAS.items():
        if isinstance(error, ModuleNotFoundError) and package in packages:
            return (
                f"the package {package} is not installed here; from the checkout: "
                f"pip install -e '.[{extra}]'"
            )
    return " ".join(str(error).split())
