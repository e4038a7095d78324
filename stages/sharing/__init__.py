"""A student outside of the pipeline."""
