"""What is asked of the ledger: reports, pages of calls, what was spent, and routes opened by hand."""
