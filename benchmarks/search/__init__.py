"""Presets side by side at equal budget; run it with `python -m benchmarks.search`."""
