"""What a generator makes, beside real pictures: variety, distances, crispness."""
