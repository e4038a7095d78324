"""A procedural world in the official formats: what runs before the real data is there."""
