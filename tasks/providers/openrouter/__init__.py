"""OpenRouter: the client of its management API, its wire shapes, and an emulator of it."""
