"""Quality diversity on numpy; pure."""
