"""Downstream data sets to cache."""
