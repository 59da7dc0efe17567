"""Jobs on the workers of a Dask cluster: the driver hands out and stores, workers train.

bundle        jobs that stay together; one or more of them are a task of Dask's
link          the driver's connection: sends tasks to workers, tells what comes back
station       in a worker's process: the executor that runs the jobs of its tasks, and keeps paused trials
handle        what the driver knows of a station
ready worker  one whose station has answered: it gets tasks
home          the ready worker that has a paused trial
"""
