"""One file per data set; `fastfcn_infer.data.dataset` says what each must offer."""
