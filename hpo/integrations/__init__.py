"""What connects hpo with other programs; each module loads that program only when it is used."""
