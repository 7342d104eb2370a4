"""The pixels and the regions that phrases name, beside exact masks."""
