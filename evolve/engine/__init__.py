"""Assembling a run; one iteration; events for observers."""
