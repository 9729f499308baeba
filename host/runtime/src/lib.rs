//! Publishes definitions, ingests events, serves lookups, replays and proves, all through one step.
