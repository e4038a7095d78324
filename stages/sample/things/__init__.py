"""Furniture and shapes, as labelled meshes."""
