"""The ledger's tables, their versions, and how they are brought up to date."""
