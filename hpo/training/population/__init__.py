"""The population engine: many trials of the shared objective trained as one program.

`parallel` spreads jobs over this process and each `helper` process; there, `executor` hands chunks, trials that fit
together, to threads; `schedule` says which trials share the next chunk; a `chunk` trains its trials for an epoch as
stacked tensors whose leading axis K is the trial. `layout` says where a trial's parameters stand and how they are
padded, `inputs` cuts the data into batches, `network` is the stacked forward and backward pass. `paused` keeps trials
between two rungs, `machine` finds out what the hardware offers, `retrain` trains one trial again. What a technique
means is written next to its one-trial form, in `hpo/training`: optimizers, activations, losses.
"""
