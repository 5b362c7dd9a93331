"""Views know islands that were retired."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change nothing: the views are made anew with every upgrade."""
