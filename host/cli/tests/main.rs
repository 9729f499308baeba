//! The command from outside: what it prints, how it ends, and what the daemon answers.

mod daemon;
mod exit;
mod readme;
mod setup;
