"""The schema of a store: the comments are its data dictionary."""

APPLICATION_ID = 0x48504F41  # "HPOA", in the file's header: says that the file is ours
# user_version; 1: first schema; 2: winners, which test data was used, health of trials; 3: attempts, logs, user_attrs;
# 4: comparisons, their runs and looks, seconds of searchers.
# Until 1.0 another version is refused; migrations start with 1.0.
VERSION = 4

SCHEMA = """
-- One search: what is optimised, over which space, by which searcher.
CREATE TABLE studies (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,  -- '': no study, it keeps the uses of test data of studies that were removed
    spec        TEXT    NOT NULL,  -- JSON: objective, space, searcher, direction, seed, batch, epochs; never changes
    trials      INTEGER,           -- budget in full trainings; NULL: no budget, asked and told by hand
    enqueued    INTEGER NOT NULL,  -- trials 0 to enqueued - 1 are the user's own, tried first
    source      TEXT,              -- hash of the source text of a user's function; a change is warned about
    test_data   TEXT,              -- identifies the objective's test data; NULL: it has none
    created_ms  INTEGER NOT NULL,  -- UTC, for display only: nothing is ordered by time
    owner_host  TEXT,              -- who drove it last; the lock itself is a file lock of the operating system
    owner_pid   INTEGER
) STRICT;

-- One process that drove a study, with what the results may depend on.
CREATE TABLE runs (
    study       INTEGER NOT NULL REFERENCES studies (id),
    run         INTEGER NOT NULL,  -- dense from 0
    started_ms  INTEGER NOT NULL,
    environment TEXT    NOT NULL,  -- JSON: versions of Python and packages, platform, device, git commit, execution
    PRIMARY KEY (study, run)
) STRICT, WITHOUT ROWID;

-- What happened to the searcher, in order: folding over these events rebuilds its state.
CREATE TABLE events (
    study       INTEGER NOT NULL REFERENCES studies (id),
    seq         INTEGER NOT NULL,  -- dense from 0
    kind        TEXT    NOT NULL CHECK (kind IN ('asked', 'told')),
    n           INTEGER NOT NULL,  -- asked: how many were asked for, 0 for trials the user enqueued; told: how many
    seconds     REAL    NOT NULL,  -- processor time of the searcher itself since the event before
    PRIMARY KEY (study, seq)
) STRICT, WITHOUT ROWID;

-- One configuration, summed up over its evaluations.
CREATE TABLE trials (
    study       INTEGER NOT NULL REFERENCES studies (id),
    number      INTEGER NOT NULL,  -- dense from 0 within the study
    params      TEXT    NOT NULL,  -- JSON: name to value, active hyperparameters only; a tuple is {"__tuple__": [...]}
    seed        INTEGER NOT NULL,  -- all randomness of the trial; a function of the study's seed and the number
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'paused', 'done', 'failed', 'cancelled')),
    epochs      INTEGER NOT NULL,  -- trained so far; 1 for an evaluated objective without epochs
    value       REAL,              -- metric at the last epoch; NULL: none, or NaN (SQLite has no NaN)
    value_kind  TEXT    CHECK (value_kind IN ('finite', 'nan', 'inf', '-inf')),  -- NULL: there is no value
    seconds     REAL    NOT NULL,
    reason      TEXT,              -- of failures: exception, non_finite, oom, timeout, killed(SIGNAL), exit(CODE), lost
    PRIMARY KEY (study, number)
) STRICT, WITHOUT ROWID;

-- Counts per state, and the best trials, without reading the rows.
CREATE INDEX trials_by_state ON trials (study, state);
CREATE INDEX trials_by_value ON trials (study, epochs, value) WHERE value_kind = 'finite' AND state <> 'failed';

-- Training one trial from one epoch to another; successive halving gives a trial several.
CREATE TABLE evaluations (
    study       INTEGER NOT NULL REFERENCES studies (id),
    id          INTEGER NOT NULL,  -- dense from 0 within the study, in the order asked
    number      INTEGER NOT NULL,  -- the trial
    asked       INTEGER NOT NULL,  -- events.seq that asked for it
    told        INTEGER,           -- events.seq that told the searcher; NULL: not yet
    start       INTEGER NOT NULL,  -- epochs trained before
    target      INTEGER NOT NULL,  -- train up to this epoch
    info        TEXT    NOT NULL,  -- JSON: why the searcher proposed it
    state       TEXT    NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    epochs      INTEGER NOT NULL,  -- epoch reached
    charged     INTEGER NOT NULL,  -- epochs newly trained, counted against the budget
    value       REAL,
    value_kind  TEXT    CHECK (value_kind IN ('finite', 'nan', 'inf', '-inf')),
    seconds     REAL    NOT NULL,
    reason      TEXT,
    error       TEXT,              -- traceback or explanation of a failure, at most 64 kB
    curve       TEXT    NOT NULL,  -- JSON: metric to its values after each epoch newly trained; 'nan', 'inf', '-inf'
    health      TEXT    NOT NULL,  -- JSON: what tells whether training went well, name to value; {} where unknown
    attempts    INTEGER NOT NULL,  -- how often it was begun: more than once if a process that ran it died
    ended_ms    INTEGER,
    PRIMARY KEY (study, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX evaluations_by_trial ON evaluations (study, number);
CREATE INDEX evaluations_by_asked ON evaluations (study, asked);
CREATE INDEX evaluations_by_told ON evaluations (study, told);

-- What evaluations printed, of those that ran in processes of their own and printed something.
CREATE TABLE logs (
    study       INTEGER NOT NULL REFERENCES studies (id),
    evaluation  INTEGER NOT NULL,
    log         TEXT    NOT NULL,  -- at most 64 kB: of more the beginning and the end
    PRIMARY KEY (study, evaluation)
) STRICT, WITHOUT ROWID;

-- What the objective noted about trials, of those evaluations in which it did.
CREATE TABLE user_attrs (
    study       INTEGER NOT NULL REFERENCES studies (id),
    evaluation  INTEGER NOT NULL,
    noted       TEXT    NOT NULL,  -- JSON: name to value
    PRIMARY KEY (study, evaluation)
) STRICT, WITHOUT ROWID;

-- The best trials of a study trained again with fresh seeds, and which of them won; the latest row counts.
CREATE TABLE winners (
    study       INTEGER NOT NULL REFERENCES studies (id),
    trials      INTEGER NOT NULL,  -- how many trials the study had then
    winner      TEXT    NOT NULL,  -- JSON: candidates with the value of each fresh seed, who won, test score
    at_ms       INTEGER NOT NULL
) STRICT;

-- Each use of test data, which no searcher sees.
CREATE TABLE tests (
    study       INTEGER NOT NULL REFERENCES studies (id),
    number      INTEGER NOT NULL,  -- the trial whose configuration was tested
    seed        INTEGER NOT NULL,  -- of the model that was tested
    epochs      INTEGER NOT NULL,  -- epochs it had been trained
    data        TEXT    NOT NULL,  -- identifies the test data, which studies may share
    metrics     TEXT    NOT NULL,  -- JSON: metric to value on the test data
    at_ms       INTEGER NOT NULL
) STRICT;

-- Searchers beside each other, on the same tasks with the same seeds; each of its runs is a study.
CREATE TABLE comparisons (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    spec        TEXT    NOT NULL,  -- JSON: first seed, whether each seed has a split of its own; never changes
    plan        TEXT    NOT NULL,  -- JSON: tasks, each with its budget; searchers; how many seeds; it only grows
    created_ms  INTEGER NOT NULL,
    owner_host  TEXT,              -- who ran it last
    owner_pid   INTEGER
) STRICT;

-- Which study is which run of a comparison.
CREATE TABLE comparison_runs (
    comparison  INTEGER NOT NULL REFERENCES comparisons (id),
    task        TEXT    NOT NULL,  -- its name
    searcher    TEXT    NOT NULL,  -- its label; '': the reference trials, outside every budget
    nth         INTEGER NOT NULL,  -- the study's seed is the comparison's first seed + nth; 0 of the reference trials
    study       INTEGER NOT NULL UNIQUE REFERENCES studies (id),
    ended       TEXT    CHECK (ended IN ('complete', 'exhausted')),  -- exhausted: nothing was left to propose
    PRIMARY KEY (comparison, task, searcher, nth)
) STRICT, WITHOUT ROWID;

-- Each state of a comparison that a verdict was given on: the more looks, the less each of them may claim.
CREATE TABLE looks (
    comparison  INTEGER NOT NULL REFERENCES comparisons (id),
    look        INTEGER NOT NULL,  -- dense from 1
    seen        TEXT    NOT NULL,  -- digest of what the verdict was given on: tasks, searchers, seeds, final values
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (comparison, look)
) STRICT, WITHOUT ROWID;
"""
