"""The order: command line, configuration, and the name of every path. No numerics here."""
