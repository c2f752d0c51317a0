"""By which loss trials train: a module each, with its examples, their loss, their figures."""
