"""Views for people name the model behind a program or a failure."""

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Change no table: views are made anew whenever a database is upgraded."""
