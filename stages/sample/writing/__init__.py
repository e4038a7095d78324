"""The sample world in the official formats."""
