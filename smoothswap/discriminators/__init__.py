"""Discriminators: faces in, logits out."""
