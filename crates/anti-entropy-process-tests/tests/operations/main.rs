//! Each step of the runbook, docs/operations.md, with real processes on loopback, without privileges.
#![cfg(target_os = "linux")]

mod alarms;
mod backup;
mod certificates;
mod cluster;
mod deploy;
mod hostile;
mod keys;
mod membership;
mod page;
mod partition;
mod replace;
mod snapshots;
