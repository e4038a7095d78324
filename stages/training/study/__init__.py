"""The claim in miniature: what pre-training gives where labels are few, beside its controls."""
