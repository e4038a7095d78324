"""Pre-training: a student learns the cached prefixes from points alone."""
