"""One file per subcommand of `fastfcn`; `fastfcn_infer.cli.command` says what each must offer."""
