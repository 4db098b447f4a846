"""Safe look at one stored value: which codec wrote it, what it holds, without running any of it."""
