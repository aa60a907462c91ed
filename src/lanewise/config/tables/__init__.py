"""What can be declared: a file for each table of the TOML file, with its keys, their defaults and descriptions."""
