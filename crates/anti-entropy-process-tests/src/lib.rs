//! Tests with real processes: five nodes, each a process in a network namespace of its own, real faults of network,
//! processes and clocks, and the simulator's checkers over what happened.
//!
//! docs/testing.md says how to run them and what they need. Only Linux can run them.
#![cfg(target_os = "linux")]

pub mod cluster;
pub mod history;
pub mod hostile;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod operated;
pub mod process;
pub mod run;
pub mod time;
pub mod wire;
