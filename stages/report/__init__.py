"""Pictures and tables of what the stages left on disk."""
