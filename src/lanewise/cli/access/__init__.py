"""How the commands reach a config, its ledger and its store, and how they end where one can't be used."""
