"""Prepares what a network gets: features or images, in batches on the device."""
