"""What is wanted: settings, secrets, logging. Imports nothing of ours."""
