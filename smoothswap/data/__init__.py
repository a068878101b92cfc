"""Data sets of faces, and the way from their files to batches.

Data sets hand out uint8 [3, S, S] RGB pictures with person indices. Import from the modules: this one imports
nothing, so that reading a list of components stays quick.
"""
