"""Variation operators."""
