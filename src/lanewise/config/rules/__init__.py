"""The language of the rules that pick a call's starting lane, and the tree that a rule is read into."""
