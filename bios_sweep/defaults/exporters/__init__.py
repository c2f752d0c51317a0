"""Settings in the words of other trainers: one table of keys per tool, and one function over the tables."""
