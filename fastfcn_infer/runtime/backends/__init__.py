"""One file per runtime; `fastfcn_infer.runtime.backend` says what each must offer."""
