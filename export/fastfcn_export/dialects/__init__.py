"""One file per checkpoint dialect; `fastfcn_export.dialect` says what each must offer."""
