"""How each sort of place is spoken to; a kind puts it together."""
