"""Models that PaddleSeg or PaddleX exported already."""
