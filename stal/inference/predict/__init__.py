"""Detection in any number of videos, on any number of machines: what tools/predict.py does."""
