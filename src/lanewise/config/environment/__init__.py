"""What a config refers to outside itself, looked up when a router opens: variables, addresses, installed packages."""
