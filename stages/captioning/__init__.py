"""Words from prefixes: the only room that knows both stages."""
