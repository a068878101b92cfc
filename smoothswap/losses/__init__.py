"""What training minimises. A loss takes tensors, never models; each file is one loss with its formula and source.

Shapes in this package: N images of a batch, B pictures, D length of an identity vector, P people.
"""
