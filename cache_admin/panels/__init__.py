"""Cards of the dashboard: facts turned into one card each."""
