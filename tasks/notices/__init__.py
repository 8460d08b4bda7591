"""How people are told: one file for each way to reach them. Apprise reaches more than a hundred services."""
