"""Files: replaced as a whole, and edited without touching what else they say."""
