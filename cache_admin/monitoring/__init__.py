"""Counters in, series out."""
