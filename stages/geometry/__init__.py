"""Pure functions of points: normalising, sampling, neighbours. No files."""
