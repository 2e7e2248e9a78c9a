"""From a FastFCN checkpoint of any dialect to a frozen, verified artifact."""
