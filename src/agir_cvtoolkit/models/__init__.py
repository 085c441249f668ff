"""Network architectures and their checkpoints; no training, no other files.

`card` needs nothing but the standard library; nearly all other modules import torch.
"""
