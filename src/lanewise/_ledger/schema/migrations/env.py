"""How Alembic runs the ledger's versions: on the connection, and in the transaction, of whoever asked for them."""

from __future__ import annotations

from alembic import context

from lanewise._ledger.schema.schema_version import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE, transactional_ddl=True
)
context.run_migrations()
