"""Plans: steps that know whether they are done."""
