"""One page that shows what a training came to: numbers, curves, errors, and what the detections looked at."""
