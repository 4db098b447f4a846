"""What fills a cache: keys folded into patterns, counted and weighed."""
