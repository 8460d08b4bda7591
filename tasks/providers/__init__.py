"""Where API keys come from: one folder for each service that mints them."""
