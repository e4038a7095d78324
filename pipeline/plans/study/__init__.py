"""The claim in miniature, as a plan of cells (docs/study-plan.md)."""
