"""What runs: Celery's processes, the command line, health."""
