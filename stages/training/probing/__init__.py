"""What frozen features know."""
