"""A run's data in the formats of other tools; read-only over the store."""
