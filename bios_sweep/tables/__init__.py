"""Text tables of other tools as plain columns, cells and names. Knows no verdict."""
