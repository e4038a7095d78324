"""3D backbones that learned from a 2D captioner, outside of the pipeline that trains them.

    import distill3d

    student = distill3d.load_student("workspace/pretrain/distill")
    cloud = distill3d.read_cloud("scan.ply")
    features = student(cloud)  # .points (P, C), .cloud (2 C,), .patches (G, C), .prefix (L, D)

What is named here is kept from version to version; other packages of the project may change.
"""

import sys
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.sharing.clouds import read_cloud
    from stages.sharing.exported import export_student
    from stages.sharing.student import Features, LoadedStudent, load_student
    from stages.sharing.tasks import LoadedTask, load_task
    from stages.sharing.workspace import OpenWorkspace, open_workspace

__all__ = [
    "Features",
    "LoadedStudent",
    "LoadedTask",
    "OpenWorkspace",
    "__version__",
    "export_student",
    "load_student",
    "load_task",
    "open_workspace",
    "read_cloud",
]

# Where each is, so that torch is imported when it is needed.
_WHERE = {
    "read_cloud": "stages.sharing.clouds",
    "export_student": "stages.sharing.exported",
    "Features": "stages.sharing.student",
    "LoadedStudent": "stages.sharing.student",
    "load_student": "stages.sharing.student",
    "LoadedTask": "stages.sharing.tasks",
    "load_task": "stages.sharing.tasks",
    "OpenWorkspace": "stages.sharing.workspace",
    "open_workspace": "stages.sharing.workspace",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return metadata.version("distill3d")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'distill3d' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _in_the_way() -> str | None:
    """Which file or folder stands before one of ours, whose names are common ones."""
    home = Path(__file__).resolve().parent.parent
    for name in ("cache", "configs", "pipeline", "stages"):
        found = find_spec(name)
        places = list(found.submodule_search_locations or []) if found else []
        place = places[0] if places else found.origin if found else None
        if place is None or Path(place).resolve() != home / name:
            return f"{place or name}"
    return None


if _place := _in_the_way():
    _said = (
        f"distill3d: {_place} stands before our own package of that name; rename it, or start from "
        "another folder"
    )
    # As a command it is one line; in a program the traceback says what imported us.
    raise SystemExit(_said) if Path(sys.argv[0]).name in ("-m", "distill3d") else ImportError(_said)
