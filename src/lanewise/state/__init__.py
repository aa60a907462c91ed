"""What workers share: in memory by default, in Valkey or Redis when there are several."""
