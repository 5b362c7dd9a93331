"""Isolation of one execution."""
