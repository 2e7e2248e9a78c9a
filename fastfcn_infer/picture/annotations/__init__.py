"""One file per format of annotations; `annotation` is the contract."""
