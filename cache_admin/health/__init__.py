"""What is wrong with a cache, in words with their evidence and what to do, and what somebody does not want to hear."""
