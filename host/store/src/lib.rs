//! The event log, its segments, the state in sled and the catalog's files.
