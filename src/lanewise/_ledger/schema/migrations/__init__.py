"""The ledger's versions: Alembic runs them in order. A change of the tables is a new file in ``versions``."""
