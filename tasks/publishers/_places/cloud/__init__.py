"""Google's and Microsoft's secret stores, through their clients, with an end to each call."""
