"""The layouts in which people record RGB-D frames, a module each, and what they share."""
