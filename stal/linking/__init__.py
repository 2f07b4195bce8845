"""From a detector's boxes to tubes: merge the tubelets of overlapping windows, then link boxes over time.

windows of T frames   [--- tubelets ---]
                            [--- tubelets ---]
merge_tubelets        | | | | | | | | | | | |     scored boxes, frame by frame
Linker                ==============   ======     tubes, class by class
"""
