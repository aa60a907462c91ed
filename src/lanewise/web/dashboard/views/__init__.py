"""The views of the page: what each shows, and how the tasks stand that the first one tells of."""
