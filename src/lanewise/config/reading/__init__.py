"""From a file or a mapping to the declared tables: every mistake is collected, with its line."""
