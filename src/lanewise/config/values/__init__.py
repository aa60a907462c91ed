"""The kinds of value that a config holds, each with the check that says what is wrong with a bad one."""
