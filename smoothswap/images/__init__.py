"""Decoding that the reader of photographs and the reader of training images share."""
