"""A sweep drawn: PNG files and SVG for a page."""
