"""Places behind an HTTP API of their own: one client with limits, and what its failures mean."""
