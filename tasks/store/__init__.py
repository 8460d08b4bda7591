"""Where state is kept: tables, cipher, the lease and its fence, read queries, migrations."""
