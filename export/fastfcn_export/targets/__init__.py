"""One file per target; `fastfcn_export.target` says what each must offer."""
