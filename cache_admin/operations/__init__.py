"""Everything that changes a cache on someone's behalf, and every long job."""
