//! Drawing scenarios from a seed.
//!
//! Each seed draws which kinds of faults there are, and how strong they are ("swarm testing", Groce et al., 2012). Some runs
//! have many faults of a kind and others none, so that faults that would hide each other's bugs often occur alone.

mod class;
pub(crate) mod dense;
mod faults;
mod hostile;
mod settings;
#[cfg(test)]
mod tests;

use core::ops::RangeInclusive;

use class::Class;

use super::check::{Absence, absences, clashes};
use super::random::Random;
use super::{Fault, Lie, Links, Profile, Scenario, Step};
use crate::history::{NodeIndex, OpKind};

/// The stream of these draws, which nothing else uses.
const STREAM: u64 = 0x7377_6172_6d00_0000;

/// The length of the shortest fault in milliseconds.
const SHORTEST_MS: u64 = 10;

impl Profile {
    /// Draws a scenario, with its number of nodes from a range, and with its operations one by one.
    ///
    /// A number of nodes below 2 counts as 2, and one above [`Scenario::MAX_NODES`] as that. [`Partition`](Self::Partition) always
    /// has five nodes, [`Dense`](Self::Dense) three to five. [`Byzantine`](Self::Byzantine) has four to ten, one of which lies
    /// and is outside of the core. [`Hostile`](Self::Hostile) has three to eight, of which one is hostile.
    ///
    /// ```
    /// use anti_entropy_sim::scenario::Profile;
    ///
    /// let scenario = Profile::Swarm.draw(17, 2..=7);
    /// scenario.check()?;
    /// assert_eq!(scenario, Profile::Swarm.draw(17, 2..=7));
    /// # Ok::<(), anti_entropy_sim::scenario::ScenarioError>(())
    /// ```
    pub fn draw(self, seed: u64, nodes: RangeInclusive<u32>) -> Scenario {
        if self == Self::Dense {
            return Scenario { name: format!("dense-{seed}"), ..dense::any(seed) }.expanded(seed);
        }
        let mut random = Random::new(seed, STREAM);
        let (fewest, most) = match self {
            Self::Partition => (5, 5),
            Self::Byzantine => (4.max(*nodes.start()).min(10), 4.max(*nodes.end()).min(10)),
            Self::Hostile => (3.max(*nodes.start()).min(8), 3.max(*nodes.end()).min(8)),
            _ => (*nodes.start(), *nodes.end()),
        };
        let nodes = random.between_u32(fewest, most).clamp(2, Scenario::MAX_NODES);
        let scenario = settings::scenario(&mut random, format!("{}-{seed}", self.name()), nodes);
        let mut swarm = Swarm { random, scenario, absent: Vec::new() };
        match self {
            Self::Swarm => swarm.everything(),
            Self::Partition => swarm.partition(),
            Self::Crash => swarm.only(&[Class::Process, Class::Disk], false),
            Self::Clock => swarm.only(&[Class::Clock], true),
            Self::Byzantine => swarm.byzantine(),
            Self::Dense => {}
            Self::Twice => swarm.twice(),
            Self::Hostile => swarm.hostile(),
        }
        // Drawn last, so that all other draws of a seed stay the same.
        settings::announcements(&mut swarm.random, &mut swarm.scenario.gossip);
        if self == Self::Swarm {
            settings::budgets(&mut swarm.random, &mut swarm.scenario.gossip);
            swarm.scenario.compacts = swarm.random.permille(200);
            if swarm.random.permille(100) {
                swarm.upgrade();
            }
        }
        swarm.scenario.steps.sort_by_key(|step| (step.start_ms, step.end_ms));
        let mut scenario = swarm.scenario.expanded(seed);
        if self == Self::Partition {
            write_on_all_sides(&mut scenario);
        }
        scenario
    }

    /// The profile's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Swarm => "swarm",
            Self::Partition => "partition",
            Self::Crash => "crash",
            Self::Clock => "clock",
            Self::Byzantine => "byzantine",
            Self::Dense => "dense",
            Self::Twice => "twice",
            Self::Hostile => "hostile",
        }
    }
}

/// A scenario that is being drawn.
struct Swarm {
    random: Random,
    scenario: Scenario,
    /// Which nodes are absent, and when.
    absent: Vec<Absence>,
}

impl Swarm {
    fn everything(&mut self) {
        self.scenario.links = settings::links(&mut self.random);
        self.scenario.gossip = settings::gossip(&mut self.random);
        settings::limits(&mut self.random, &mut self.scenario.gossip);
        let gossip = &self.scenario.gossip;
        if gossip.frame_bytes.or(gossip.answer_bytes).is_some() || gossip.batch_entries.is_some() {
            // With small limits a transfer takes hundreds of round trips. If a fifth of all frames is lost as well, a bound in
            // rounds does not apply.
            self.scenario.healed_links.loss_permille = 0;
        }
        if self.random.permille(250) {
            self.lose_a_minority();
        }
        let classes = Class::ALL.into_iter().filter(|_| self.random.permille(500)).collect::<Vec<_>>();
        let steps = self.random.strength(0..=10);
        if !classes.is_empty() {
            self.steps(&classes, steps);
        }
    }

    fn only(&mut self, classes: &[Class], mild_network: bool) {
        if mild_network {
            self.scenario.links = settings::mild_links(&mut self.random);
        }
        self.scenario.gossip = settings::gossip(&mut self.random);
        let steps = self.random.between(1, 8);
        self.steps(classes, steps);
    }

    /// The default settings, and one split that lasts most of the time.
    fn partition(&mut self) {
        self.scenario.links = Links { loss_permille: self.random.strength_permille(300), ..Links::default() };
        let groups = self.random.one_of(&[[&[0, 1][..], &[2, 3, 4]], [&[0, 1, 2], &[3, 4]]]);
        let groups = groups.map(<[NodeIndex]>::to_vec).to_vec();
        let duration = self.scenario.duration_ms;
        let (start, end) = (self.random.strength(0..=5_000), self.random.strength(duration / 4 * 3..=duration));
        self.push(Step { start_ms: start, end_ms: end, nodes: Vec::new(), fault: Fault::Split { groups } });
        self.scenario.workload.operations = self.random.between_u32(60, 150);
    }

    /// One member that lies in up to three ways, one after the other.
    fn byzantine(&mut self) {
        self.scenario.links = settings::mild_links(&mut self.random);
        self.scenario.gossip = settings::gossip(&mut self.random);
        let liar = self.random.between_u32(0, self.scenario.nodes - 1);
        self.scenario.never_back = vec![liar];
        let lies = self.random.between(1, 3);
        let each = self.scenario.duration_ms / lies;
        for number in 0..lies {
            let lie = self.random.one_of(&Lie::ALL);
            let start = number * each + self.random.strength(0..=each / 2);
            self.push(Step {
                start_ms: start,
                end_ms: (number + 1) * each,
                nodes: vec![liar],
                fault: Fault::Lie { lie },
            });
        }
        if self.random.permille(500) {
            self.steps(&[Class::Partition], 1);
        }
    }

    /// Up to four nodes whose names of writes are used twice, on a good network.
    fn twice(&mut self) {
        self.scenario.links = settings::mild_links(&mut self.random);
        self.scenario.gossip = settings::gossip(&mut self.random);
        for _ in 0..self.random.between(1, 4) {
            let step = self.used_twice();
            self.push(step);
        }
        if self.random.permille(300) {
            self.steps(&[Class::Partition], 1);
        }
    }

    /// A release in which values have another schema is rolled out node by node.
    fn upgrade(&mut self) {
        let count = self.random.between_u32(1, self.scenario.nodes);
        for node in self.random.distinct(count, self.scenario.nodes) {
            let end_ms = self.random.strength(1_000..=self.scenario.duration_ms);
            self.push(Step { start_ms: 0, end_ms, nodes: vec![node], fault: Fault::OldRelease });
        }
    }

    fn lose_a_minority(&mut self) {
        let most = self.minority();
        if most > 0 {
            let count = self.random.between_u32(1, most);
            self.scenario.never_back = self.random.distinct(count, self.scenario.nodes);
            self.scenario.never_back.sort_unstable();
        }
    }

    /// How many nodes may be lost for good: fewer than half.
    fn minority(&self) -> u32 {
        (self.scenario.nodes - 1) / 2
    }

    /// Adds a step, unless it affects an absent node. Returns whether it was added.
    fn push(&mut self, step: Step) -> bool {
        let new = absences(&self.scenario, &step);
        if clashes(&self.absent, &new).is_some() {
            return false;
        }
        self.absent.extend(new);
        self.scenario.steps.push(step);
        true
    }
}

/// Makes the first operations during a split writes, one on each side, since one of some 20,000 seeds would have none there.
fn write_on_all_sides(scenario: &mut Scenario) {
    for step in &scenario.steps {
        let Fault::Split { groups } = &step.fault else { continue };
        let parted = step.start_ms * 1_000..step.end_ms * 1_000;
        let operations = scenario.operations.iter_mut().filter(|operation| parted.contains(&operation.at_us));
        for (operation, group) in operations.zip(groups) {
            (operation.op, operation.node) = (OpKind::Write, group[0]);
        }
    }
}
