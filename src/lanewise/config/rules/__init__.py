"""Rules that pick a call's starting lane: their language, the tree that they are read into, and their declaration."""
