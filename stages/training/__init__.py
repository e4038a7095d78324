"""Stage two: cache to trained networks. Never loads the teacher, never reads a recording."""
