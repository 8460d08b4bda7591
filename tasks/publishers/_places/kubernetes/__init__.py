"""The API of Kubernetes: its client, the few calls that are needed, and what its errors mean."""
