"""The frozen 2D teacher: built or trained, and what it says of frames, cached."""
