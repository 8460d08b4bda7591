"""Vault and OpenBao: logging in, the secret, who wrote it last, and what the server's errors mean."""
