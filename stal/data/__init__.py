"""From video files and annotations to clips: readers, the only decoder, sampling, transforms."""
