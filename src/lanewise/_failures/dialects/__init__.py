"""How providers word their errors: codes first, which decide; then phrases of messages; then single words."""
