"""The downstream tasks: each makes a `Task` for the loop, and what is measured at its end."""
