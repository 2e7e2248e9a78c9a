"""One file per checkpoint dialect; `fastfcn_export.dialect.dialect` says what each must offer."""
