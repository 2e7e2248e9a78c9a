"""PaddleSeg's configuration files: read, checked against what can be learned here, translated."""
