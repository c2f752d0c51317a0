"""The files that people have, whatever their container, as one stream of (place, record)."""
