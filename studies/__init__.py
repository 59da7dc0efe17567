"""The studies that come with hpo, one TOML file each; `hpo studies` lists them."""
