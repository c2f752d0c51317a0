"""What a record of the user's data says: one small module per shape, and the registry that they join."""
