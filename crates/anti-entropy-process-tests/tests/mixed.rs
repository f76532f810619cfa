//! Faults of all kinds at once, drawn from a seed. `SEED` repeats what was drawn; `PARTITIONS` says how many rounds
//! with partitions there are to be, for campaigns.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use anti_entropy_process_tests::nemesis::{NETWORK, PROCESSES};
use anti_entropy_process_tests::run::Run;

/// How many rounds a cluster has before another one takes its place, so that histories stay short.
const ROUNDS: u64 = 10;

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn mixed_faults_heal() {
    let _alone = common::alone();
    let seed = common::seed();
    eprintln!("campaign: SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let wanted = common::number("PARTITIONS").unwrap_or(4);
    let (mut done, mut slowest) = (0, Duration::ZERO);
    while done < wanted {
        let mut run = Run::new(common::setup("mixed", random.u64(..)), common::namespaces());
        for _ in 0..ROUNDS.min(wanted - done) {
            let mut nemeses = vec![*random.choice(NETWORK.as_slice()).expect("there are some")];
            if random.bool() {
                nemeses.push(*random.choice(PROCESSES.as_slice()).expect("there are some"));
            }
            run.round(&nemeses, Duration::from_millis(random.u64(2000..6000)));
        }
        run.rest(Duration::from_secs(9));
        let verdict = run.judge();
        verdict.assert_sound();
        done += u64::from(verdict.partitions);
        slowest = slowest.max(verdict.slowest);
        eprintln!("{done} partitions healed, 0 violations, equal after {:.1} s at most", slowest.as_secs_f32());
    }
}
