"""Run by alembic: apply migrations over the connection that `evolve.store.migrate` passes."""

from alembic import context

from evolve.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
