"""One function a command: it loads configuration, names paths, and calls a stage's `run`.

A stage is imported inside its command, so that `--help` is instant and a machine for one stage
needs no package of the other.
"""
