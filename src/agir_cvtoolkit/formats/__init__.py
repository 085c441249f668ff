"""Other formats, out and in: COCO, YOLO, masks, CamVid, Datumaro, SLEAP and DeepLabCut; CVAT's XML is in `cvat`.

What a format cannot hold is counted, not kept silent; what a file holds that cannot be understood is listed, and the rest
goes on.
"""
