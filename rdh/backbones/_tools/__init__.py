"""Code that backbones share: preprocessing, weight files, and a stand-in for frozen ones."""
