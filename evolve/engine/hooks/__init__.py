"""Hooks: observers that a configuration names, each in a thread of its own."""
