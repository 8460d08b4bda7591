"""Redis: where it is, what is done in one step there, and what its errors mean."""
