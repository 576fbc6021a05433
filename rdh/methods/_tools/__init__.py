"""Code that methods share: their base classes, pair likelihoods, centres, discrete steps."""
