"""The database: the only owner of a session."""
