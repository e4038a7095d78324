"""Networks and weights to checkpoints and back, ours and others'."""
