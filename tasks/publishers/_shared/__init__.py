"""What any kind may need: what it tells of itself, checks of options, credentials, the stamp beside a value."""
