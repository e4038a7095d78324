"""A pre-trained backbone on a downstream task: trained, judged, predicting."""
