"""The ledger: the durable record of calls and attempts, in SQLite or PostgreSQL (extra ``ledger``).

This room needs SQLAlchemy and Alembic to be imported at all: whoever uses it imports it where it is used.
"""
