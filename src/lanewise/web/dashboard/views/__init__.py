"""The views of the page, one a file, and the status of each task that the first one shows."""
