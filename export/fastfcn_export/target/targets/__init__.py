"""One file per target; `fastfcn_export.target.target` says what each must offer."""
