"""CRIS: the pixels that words speak of (Wang et al., CVPR 2022), and the region of an object."""
