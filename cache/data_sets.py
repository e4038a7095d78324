"""The names of the data sets that can be prepared; their stores are called so."""

from enum import StrEnum


class ObjectSet(StrEnum):
    """Sets of objects: `objects/<name>.zarr`."""

    MODELNET40 = "modelnet40"
    SHAPENETPART = "shapenetpart"
    SCANOBJECTNN = "scanobjectnn"


class ScanSet(StrEnum):
    """Sets of annotated scans: `scans/<name>.zarr`."""

    SCANNET = "scannet"


PREPARED = (*ObjectSet, *ScanSet)
