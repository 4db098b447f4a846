"""What the servers count, over time: readings on demand, series from differences, findings in words."""
