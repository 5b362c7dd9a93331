"""Leases of slots and their devices."""
