"""Where trials run: in this process or on Ray's workers; attempts and failures are the same for both."""
