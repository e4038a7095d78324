"""YAML values only; a package so that an installed distill3d finds them."""
