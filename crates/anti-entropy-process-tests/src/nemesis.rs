//! Faults: what is done to a cluster while clients work.

use std::collections::BTreeSet;

use anti_entropy_sim::history::{NodeIndex, Opened};
use fastrand::Rng;

use crate::cluster::Cluster;
use crate::network::Cuts;

/// An hour: far beyond what clocks may differ by.
const HOUR_MS: i64 = 3_600_000;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nemesis {
    /// Two sides that do not hear each other.
    Halves,
    /// One node that nobody hears and that hears nobody.
    Isolate,
    /// Two sides, and one node that hears both.
    Bridge,
    /// Each node hears its two neighbours only.
    Ring,
    /// One node that hears everybody and is not heard.
    Mute,
    /// One node that is heard and hears nobody.
    Deaf,
    /// Two sides that come and go.
    Flapping,
    /// The links of one or two nodes are down.
    LinkDown,
    /// One or two processes stand still.
    Pause,
    /// Processes are killed and started again, one after the other.
    Kill,
    /// Processes are shut down in order and started again, one after the other.
    Restart,
    /// Wall clocks jump by up to an hour either way, and again.
    Skew,
}

/// What a fault of the network can be. No two of them at a time.
pub const NETWORK: [Nemesis; 8] = [
    Nemesis::Halves,
    Nemesis::Isolate,
    Nemesis::Bridge,
    Nemesis::Ring,
    Nemesis::Mute,
    Nemesis::Deaf,
    Nemesis::Flapping,
    Nemesis::LinkDown,
];

/// What a fault of processes and clocks can be.
pub const PROCESSES: [Nemesis; 4] = [Nemesis::Pause, Nemesis::Kill, Nemesis::Restart, Nemesis::Skew];

/// A fault that is on.
#[derive(Debug)]
pub struct Active {
    nemesis: Nemesis,
    random: Rng,
    /// Whom it is about, drawn once.
    some: Vec<NodeIndex>,
    /// All others.
    others: Vec<NodeIndex>,
    steps: u32,
}

impl Nemesis {
    /// Whether it keeps nodes apart.
    pub fn partitions(self) -> bool {
        NETWORK.contains(&self)
    }

    /// Whether it ends processes.
    pub fn crashes(self) -> bool {
        matches!(self, Self::Kill | Self::Restart)
    }
}

impl Active {
    /// Draws whom it is about, and begins.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn begin(nemesis: Nemesis, cluster: &mut Cluster, random: &mut Rng) -> Self {
        let mut nodes: Vec<NodeIndex> = (0..cluster.nodes()).collect();
        random.shuffle(&mut nodes);
        let how_many = match nemesis {
            Nemesis::Halves | Nemesis::Bridge | Nemesis::Flapping => 2,
            Nemesis::Isolate | Nemesis::Mute | Nemesis::Deaf => 1,
            Nemesis::LinkDown | Nemesis::Pause => random.usize(1..3),
            Nemesis::Ring | Nemesis::Kill | Nemesis::Restart | Nemesis::Skew => nodes.len(),
        };
        let others = nodes.split_off(how_many);
        let mut active = Self { nemesis, random: random.fork(), some: nodes, others, steps: 0 };
        active.step(cluster);
        active
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        format!("{:?} at {:?}", self.nemesis, self.some)
    }

    /// Nodes of which no other hears for as long as this is on, and those others.
    pub fn apart(&self) -> Option<(&[NodeIndex], &[NodeIndex])> {
        let apart = matches!(self.nemesis, Nemesis::Halves | Nemesis::Isolate | Nemesis::LinkDown | Nemesis::Pause);
        apart.then_some((self.some.as_slice(), self.others.as_slice()))
    }

    /// Goes on. Called several times a second.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn step(&mut self, cluster: &mut Cluster) {
        let first = self.steps == 0;
        self.steps += 1;
        match self.nemesis {
            Nemesis::Flapping if first || self.random.bool() => {
                let cuts = if self.random.bool() { self.cuts() } else { Cuts::new() };
                cluster.network().cut(&cuts).expect("root may cut links");
            }
            Nemesis::LinkDown if first => {
                self.some.iter().for_each(|node| set_link(cluster, *node, false));
            }
            Nemesis::Pause if first => self.some.iter().for_each(|node| cluster.pause(*node, true)),
            Nemesis::Kill | Nemesis::Restart if self.steps % 2 == 1 => self.take_down(cluster),
            Nemesis::Kill | Nemesis::Restart => self.bring_back(cluster),
            Nemesis::Skew if first || self.random.u32(0..8) == 0 => {
                for node in &self.some {
                    cluster.set_clock(*node, self.random.i64(-HOUR_MS..=HOUR_MS));
                }
            }
            nemesis if nemesis.partitions() && nemesis != Nemesis::Flapping && first => {
                cluster.network().cut(&self.cuts()).expect("root may cut links");
            }
            _ => {}
        }
    }

    /// Is over; what it has left behind is mended.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn end(mut self, cluster: &mut Cluster) {
        match self.nemesis {
            Nemesis::Pause => self.some.iter().for_each(|node| cluster.pause(*node, false)),
            Nemesis::LinkDown => self.some.iter().for_each(|node| set_link(cluster, *node, true)),
            Nemesis::Kill | Nemesis::Restart if self.steps % 2 == 1 => self.bring_back(cluster),
            Nemesis::Kill | Nemesis::Restart | Nemesis::Skew => {}
            _ => cluster.network().heal().expect("root may heal links"),
        }
    }

    /// The next node goes down.
    fn take_down(&mut self, cluster: &mut Cluster) {
        self.some.rotate_left(1);
        let node = self.some[0];
        match self.nemesis {
            Nemesis::Kill => cluster.kill(node),
            _ => cluster.shut_down(node),
        }
    }

    fn bring_back(&mut self, cluster: &mut Cluster) {
        cluster.start_node(self.some[0], Opened::Restarted);
        cluster.wait_up();
    }

    fn cuts(&self) -> Cuts {
        let (some, others) = (&self.some, &self.others);
        let between = |one: &[NodeIndex], other: &[NodeIndex]| -> Cuts {
            one.iter().flat_map(|from| other.iter().map(|to| (*from, *to))).collect()
        };
        let both = |one: &[NodeIndex], other: &[NodeIndex]| -> Cuts {
            between(one, other).into_iter().chain(between(other, one)).collect()
        };
        match self.nemesis {
            // The first of the others is the bridge.
            Nemesis::Bridge => both(some, &others[1..]),
            Nemesis::Ring => {
                let place = |node: &NodeIndex| some.iter().position(|other| other == node).unwrap_or(0);
                let near = |a: &NodeIndex, b: &NodeIndex| [1, some.len() - 1].contains(&place(a).abs_diff(place(b)));
                let all: BTreeSet<_> = some.iter().flat_map(|a| some.iter().map(move |b| (a, b))).collect();
                all.into_iter().filter(|(a, b)| a != b && !near(a, b)).map(|(a, b)| (*a, *b)).collect()
            }
            Nemesis::Mute => between(some, others),
            Nemesis::Deaf => between(others, some),
            _ => both(some, others),
        }
    }
}

fn set_link(cluster: &mut Cluster, node: NodeIndex, up: bool) {
    cluster.network().set_link(node, up).expect("root may change links");
}
