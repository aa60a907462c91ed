"""What went wrong in an attempt, pure: signals, error bodies and codes, their classification, and the failure table."""
