"""Data sets, splits, preprocessing and training.

`pairs`, `preprocess`, `splits`, `tiling`, `dataset`, `augment` and `scores` work without torch;
`segmentation` imports torch and Lightning when it trains.
"""
