"""Predictors, tiling, post-processing and uncertainty: from the pixels of a picture to a mask and a score."""
