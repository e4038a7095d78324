"""RGB-D recordings to manifests and points."""
