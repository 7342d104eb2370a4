"""Figures of pictures, features and codes: they know no bundle, no file and no report."""
