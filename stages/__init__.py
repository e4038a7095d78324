"""The work, cut in two at the disk: `precompute` fills the cache, `training` only reads it."""
