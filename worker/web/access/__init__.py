"""Who may ask for what: the table, the gate that every route stands behind, and how a caller is known."""
