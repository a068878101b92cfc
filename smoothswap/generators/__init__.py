"""Generators: a target face and an identity vector in, the swapped face out."""
