"""Embedders: faces in, identity vectors of unit length out."""
