"""Tables of results, for people and for the cache."""
