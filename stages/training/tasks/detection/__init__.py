"""3D object detection on ScanNet, as 3DETR (facebookresearch/3detr @ a5d1aad)."""
