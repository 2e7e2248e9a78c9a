"""One file per runtime; `fastfcn_infer.backend` says what each must offer."""
