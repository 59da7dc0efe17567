"""Jobs on the workers of a Dask cluster: the driver hands out and stores, workers train."""
