//! A run: rounds of faults under load, each healed and judged, and the verdict over all of them.

use std::time::{Duration, Instant};

use anti_entropy_sim::check::Violation;
use anti_entropy_sim::history::{FaultChange, Record, write_line};
use fastrand::Rng;

use crate::cluster::{Cluster, Ground, Setup};
use crate::history::{Happening, violations};
use crate::nemesis::{Active, Nemesis};
use crate::time::monotonic_us;

/// How often faults go on.
const STEP: Duration = Duration::from_millis(400);

/// A cluster, and what is drawn for it.
#[derive(Debug)]
pub struct Run {
    /// The cluster.
    pub cluster: Cluster,
    random: Rng,
    rounds: u32,
    partitions: u32,
    slowest: Duration,
}

/// What a run came to.
#[derive(Debug)]
pub struct Verdict {
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// How many rounds there were.
    pub rounds: u32,
    /// How many of them parted nodes, and were healed.
    pub partitions: u32,
    /// How long it took at most from healing until all nodes were equal.
    pub slowest: Duration,
    /// The history.
    pub history: Vec<Record>,
}

impl Run {
    /// Starts the nodes.
    pub fn new(setup: Setup, ground: Ground) -> Self {
        let random = Rng::with_seed(setup.seed);
        let cluster = Cluster::start(setup, ground);
        Self { cluster, random, rounds: 0, partitions: 0, slowest: Duration::ZERO }
    }

    /// Clients work, and these faults happen for so long, all at once; then all is healed, and the nodes become equal.
    ///
    /// # Panics
    /// If nodes that are parted hear of each other all the same, or do not notice it.
    pub fn round(&mut self, nemeses: &[Nemesis], faulty: Duration) {
        self.rounds += 1;
        let load = self.cluster.load();
        std::thread::sleep(STEP);
        let mut active = Vec::new();
        for nemesis in nemeses {
            let fault = Active::begin(*nemesis, &mut self.cluster, &mut self.random);
            self.cluster.tell(&format!("round {}: {}", self.rounds, fault.describe()));
            self.note_fault(*nemesis, &fault, true);
            active.push((*nemesis, fault));
        }
        let until = Instant::now() + faulty;
        while Instant::now() < until {
            std::thread::sleep(STEP);
            for (_, fault) in &mut active {
                fault.step(&mut self.cluster);
            }
        }
        load.stop();
        if let [(_, fault)] = active.as_slice() {
            self.demand_apart(fault);
        }
        for (nemesis, fault) in active {
            self.note_fault(nemesis, &fault, false);
            fault.end(&mut self.cluster);
        }
        self.heal();
        self.partitions += u32::from(nemeses.iter().any(|nemesis| nemesis.partitions()));
    }

    /// If a fault keeps nodes apart, they have to know nothing of each other's writes, and to have each other for down: that
    /// is waited for.
    fn demand_apart(&self, fault: &Active) {
        let Some((some, others)) = fault.apart() else { return };
        self.cluster.wait_down(others, some);
        let apart = self.cluster.log().look(|live| live.differ(some, others));
        assert!(apart, "{some:?} and {others:?} have become equal although nothing can pass between them");
    }

    fn note_fault(&self, nemesis: Nemesis, fault: &Active, begins: bool) {
        let (partitions, crashes) = (nemesis.partitions(), nemesis.crashes());
        let (at, fault) = (monotonic_us(), fault.describe());
        self.cluster.note(Happening::Fault(FaultChange { at, fault, begins, partitions, crashes }));
    }

    /// All faults are over: waits until all nodes are equal, and lets them say what they hold.
    pub fn heal(&mut self) {
        self.cluster.wait_up();
        // Each answers this after all that it was asked before, so that nothing is written any more.
        self.cluster.forget_ticks();
        self.cluster.tick();
        self.cluster.note(Happening::Healed((0..self.cluster.nodes()).collect()));
        match self.cluster.wait_equal() {
            Some(took) => {
                self.slowest = self.slowest.max(took);
                self.cluster.tell(&format!("equal after {:.1} s", took.as_secs_f32()));
            }
            None => self.cluster.tell("not equal in time"),
        }
        self.cluster.tick();
        self.cluster.read_everywhere();
        self.cluster.end();
    }

    /// Watches the nodes for so long, of which nobody asks anything: they have to be quiet.
    pub fn rest(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_secs(1));
            self.cluster.tick();
        }
    }

    /// Whether all these checkers have found something so far.
    pub fn has_found(&self, invariants: &[&str]) -> bool {
        let found = violations(&self.cluster.history());
        invariants.iter().all(|invariant| found.iter().any(|violation| violation.invariant == *invariant))
    }

    /// What the checkers say of it all.
    pub fn judge(self) -> Verdict {
        let history = self.cluster.history();
        let violations = violations(&history);
        let (rounds, partitions, slowest) = (self.rounds, self.partitions, self.slowest);
        self.cluster.tell(&format!(
            "{rounds} rounds, {partitions} with partitions; {} records; {} violations",
            history.len(),
            violations.len()
        ));
        Verdict { violations, rounds, partitions, slowest, history }
    }
}

impl Verdict {
    /// Demands that everything holds; otherwise keeps the history, and says where.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn assert_sound(&self) {
        if self.violations.is_empty() {
            return;
        }
        let found: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        panic!("{}\nhistory: {}", found.join("\n"), self.keep_history());
    }

    /// Demands that these checkers, at least, have found something.
    ///
    /// # Panics
    /// If one has not.
    pub fn assert_found(&self, invariants: &[&str]) {
        let found: Vec<&str> = self.violations.iter().map(|violation| violation.invariant).collect();
        let missed = invariants.iter().find(|invariant| !found.contains(invariant));
        assert!(missed.is_none(), "{missed:?} is not found, only {found:?}\nhistory: {}", self.keep_history());
    }

    /// The file that `anti-entropy-sim replay --judge` takes.
    fn keep_history(&self) -> String {
        let path = std::env::temp_dir().join(format!("anti-entropy-history-{:08x}.jsonl", fastrand::u32(..)));
        let write = || -> Result<(), Box<dyn std::error::Error>> {
            let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
            self.history.iter().try_for_each(|record| write_line(&mut file, record))?;
            Ok(())
        };
        write().map_or_else(|error| format!("cannot be kept: {error}"), |()| path.display().to_string())
    }
}
