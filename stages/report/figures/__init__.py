"""Pictures of data, of runs and of what they found."""
