"""Networks of stage two, in plain torch."""
