"""A page in the browser: turn objects, edit them by words and parts, keep what comes of it."""
