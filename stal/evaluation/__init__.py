"""From files of detections, whoever made them, to numbers, tables and plots."""
