"""Cards: one file and one template each. A card turns facts into one answer; its file name is its slug."""
