//! What the tests share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use anti_entropy_process_tests::cluster::{Ground, Setup};
use anti_entropy_process_tests::network::Network;
use anti_entropy_process_tests::run::Run;
use anti_entropy_process_tests::wire::Broken;

/// The program of a node, which cargo has built for these tests.
pub(crate) const NODE: &str = env!("CARGO_BIN_EXE_anti-entropy-test-node");

/// Clusters run one at a time: five processes each are enough for two processors.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The seed of a run: `SEED` of the environment, or another one each time. It is printed with all that the run says.
pub(crate) fn seed() -> u64 {
    number("SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000))
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is to be a number")))
}

/// Five sound nodes.
pub(crate) fn setup(name: &str, seed: u64) -> Setup {
    Setup::new(name, seed, NODE)
}

/// A network for them; the test fails where there can be none.
pub(crate) fn namespaces() -> Ground {
    Ground::Namespaces(Network::new(5).unwrap_or_else(|error| panic!("{error}")))
}

/// Five nodes in namespaces.
pub(crate) fn run(name: &str) -> Run {
    Run::new(setup(name, seed()), namespaces())
}

/// Five nodes on loopback, the first of them broken in this way.
pub(crate) fn broken(name: &str, broken: Broken) -> Run {
    Run::new(Setup { broken: [(0, broken)].into(), ..setup(name, seed()) }, Ground::loopback())
}
