"""Whether CLIP knows an object again from another side."""
