"""What is told of a sweep, as plain values. Pure."""
