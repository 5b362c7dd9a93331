"""Small studies for `evolve compare` that need no model: see `docs/compare.md`."""
