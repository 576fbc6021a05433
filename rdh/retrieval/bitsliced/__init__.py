"""The fast kernel: 64 codes at a time, one machine word a bit, compiled to vector instructions."""
