"""Files that the package reads, ways to damage them, and what becomes of reading them."""
