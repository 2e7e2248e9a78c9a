"""One file per data set; `fastfcn_infer.dataset` says what each must offer."""
