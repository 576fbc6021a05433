"""What the methods share: the seam they fill, pair likelihoods, centres, discrete steps."""
