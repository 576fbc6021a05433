"""What comes out: a trained run used outside.

It encodes images; code files and FAISS indexes hold the result.
"""
