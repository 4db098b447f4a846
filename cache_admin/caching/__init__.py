"""The caching library that host projects call; works with and without the admin."""
