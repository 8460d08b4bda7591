"""How it is done: operations, jobs, and the rotation core with its provider, publishers and store."""
