"""What a checkpoint looks at: the gradient tubes of its detections and their scores, over whole videos and sets."""
