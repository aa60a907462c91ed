"""What workers share of their health, in Valkey or Redis."""
