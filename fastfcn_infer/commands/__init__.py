"""One file per subcommand of `fastfcn`; `fastfcn_infer.command` says what each must offer."""
