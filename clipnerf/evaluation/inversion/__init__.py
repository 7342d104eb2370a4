"""Photos inverted by every method: how near the pictures, the pose, the other sides."""
