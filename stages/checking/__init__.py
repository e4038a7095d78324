"""What lies on disk, and whether it is whole; returns what it found, and prints nothing."""
