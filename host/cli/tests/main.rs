//! The command from outside: what it prints, how it ends, and what the daemon answers.

mod compile_limits;
mod crash;
mod daemon;
mod exit;
mod hostile;
mod leaving;
mod metrics;
mod plugin;
mod protocol;
mod readme;
mod replay;
mod setup;
mod tables;
