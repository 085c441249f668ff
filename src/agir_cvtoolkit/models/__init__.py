"""Network architectures and their checkpoints; no training, no other files.

`card` needs nothing but the standard library; `registry`, `unet`, `encoders` and `checkpoint` import torch.
"""
