"""Stage one: raw recordings to cache."""
