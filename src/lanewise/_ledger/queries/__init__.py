"""What is read from the ledger: reports, pages of calls, what was spent."""
