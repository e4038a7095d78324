"""Semantic segmentation on ScanNetV2."""
