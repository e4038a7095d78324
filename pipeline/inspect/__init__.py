"""`inspect`: says what an artifact is, and whether it is whole."""
