"""Edits by words: true attributes, CLIP, strength, what stays as it was."""
