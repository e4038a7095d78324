"""Rooms and what stands where in them."""
