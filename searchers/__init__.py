"""The searchers that come with hpo: ordinary plug-ins, found through the entry points `hpo.searchers`."""
