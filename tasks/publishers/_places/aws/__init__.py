"""AWS: its client and identities, its secrets and parameters, and what its errors mean."""
