"""Read-only looks at the store."""
