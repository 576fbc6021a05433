"""What the lessons share: the pair that they look at, and what a lesson is made of."""
