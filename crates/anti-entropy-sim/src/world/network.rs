//! The network: which frames arrive, when, and with which damage.

use std::collections::{BTreeMap, VecDeque};

use crate::history::NodeIndex;
use crate::random::{exponential, permille, place, stream};
use crate::scenario::Links;

/// How many earlier frames a link keeps for replays.
const REMEMBERED: usize = 8;

/// All links. Each draws from a stream of its own, so that events on one link do not change the others.
pub(crate) struct Network {
    seed: u64,
    /// The properties of all links.
    base: Links,
    /// The properties of links between some nodes, by the step that set them; the last one counts.
    degraded: BTreeMap<usize, (Vec<NodeIndex>, Links)>,
    /// Which frames are lost in partitions, by the step that began them.
    cuts: BTreeMap<usize, Cut>,
    links: BTreeMap<(NodeIndex, NodeIndex), Link>,
}

/// Which frames are lost in a partition.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// Those between nodes of different groups.
    Split(Vec<Vec<NodeIndex>>),
    /// Those from these nodes to others.
    Mute(Vec<NodeIndex>),
    /// Those from other nodes to these.
    Deaf(Vec<NodeIndex>),
    /// Those from or to these nodes.
    Isolate(Vec<NodeIndex>),
    /// Those between nodes that are not neighbours in a ring of this many.
    Ring(NodeIndex),
}

struct Link {
    random: fastrand::Rng,
    /// When the last frame that stays in order arrives.
    last: u64,
    /// No frame arrives before this time, since the link is clogged.
    clogged_until: u64,
    /// When the link has sent all frames that it was given.
    free_at: u64,
    remembered: VecDeque<Vec<u8>>,
}

impl Cut {
    fn separates(&self, from: NodeIndex, to: NodeIndex) -> bool {
        let has = |nodes: &[NodeIndex], node| nodes.contains(&node);
        match self {
            Self::Split(groups) => {
                let group = |node| groups.iter().position(|group| group.contains(&node));
                matches!((group(from), group(to)), (Some(one), Some(other)) if one != other)
            }
            Self::Mute(nodes) => has(nodes, from) && !has(nodes, to),
            Self::Deaf(nodes) => has(nodes, to) && !has(nodes, from),
            Self::Isolate(nodes) => has(nodes, from) || has(nodes, to),
            Self::Ring(nodes) => {
                let distance = from.abs_diff(to);
                distance != 1 && distance != nodes - 1
            }
        }
    }
}

impl Network {
    pub(crate) fn new(seed: u64, base: Links) -> Self {
        Self { seed, base, degraded: BTreeMap::new(), cuts: BTreeMap::new(), links: BTreeMap::new() }
    }

    pub(crate) fn set_base(&mut self, base: Links) {
        self.base = base;
        self.degraded.clear();
        self.cuts.clear();
        // What was held up arrives when it would have; what is sent from now on does not wait for it.
        self.links.values_mut().for_each(|link| (link.clogged_until, link.last, link.free_at) = (0, 0, 0));
    }

    pub(crate) fn cut(&mut self, step: usize, cut: Cut) {
        self.cuts.insert(step, cut);
    }

    pub(crate) fn degrade(&mut self, step: usize, nodes: Vec<NodeIndex>, links: Links) {
        self.degraded.insert(step, (nodes, links));
    }

    pub(crate) fn mend(&mut self, step: usize) {
        self.cuts.remove(&step);
        self.degraded.remove(&step);
    }

    pub(crate) fn is_cut(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.cuts.values().any(|cut| cut.separates(from, to))
    }

    /// Sends a frame, and passes on what arrives of it and when.
    pub(crate) fn send(
        &mut self,
        now: u64,
        from: NodeIndex,
        to: NodeIndex,
        frame: Vec<u8>,
        mut arrives: impl FnMut(u64, Vec<u8>),
    ) {
        if self.is_cut(from, to) {
            return;
        }
        let (link, odds) = self.link(from, to);
        link.clog(now, odds);
        if odds.replay_permille > 0 {
            link.remember(&frame);
            if permille(&mut link.random, odds.replay_permille) {
                let frame = link.some_remembered();
                arrives(link.arrival(now, &frame, odds), frame);
            }
        }
        if permille(&mut link.random, odds.loss_permille) {
            return;
        }
        let frame = link.damage(frame, odds);
        if permille(&mut link.random, odds.duplicate_permille) {
            arrives(link.arrival(now, &frame, odds), frame.clone());
        }
        arrives(link.arrival(now, &frame, odds), frame);
    }

    /// When a failure detector's datagram arrives, if it does. Datagrams are sealed, so damaged and repeated ones are refused.
    pub(crate) fn ping(&mut self, now: u64, from: NodeIndex, to: NodeIndex) -> Option<u64> {
        if self.is_cut(from, to) {
            return None;
        }
        let (link, odds) = self.link(from, to);
        let is_lost = permille(&mut link.random, odds.loss_permille);
        (!is_lost).then(|| link.arrival(now, &[], odds))
    }

    /// A link and its current properties.
    fn link(&mut self, from: NodeIndex, to: NodeIndex) -> (&mut Link, &Links) {
        let within = |nodes: &[NodeIndex]| nodes.is_empty() || (nodes.contains(&from) && nodes.contains(&to));
        let degraded = self.degraded.values().rev().find(|(nodes, _)| within(nodes));
        let odds = degraded.map_or(&self.base, |(_, links)| links);
        let seed = self.seed;
        (self.links.entry((from, to)).or_insert_with(|| Link::new(seed, from, to)), odds)
    }
}

impl Link {
    fn new(seed: u64, from: NodeIndex, to: NodeIndex) -> Self {
        let random = stream(seed, &[1, u64::from(from), u64::from(to)]);
        Self { random, last: 0, clogged_until: 0, free_at: 0, remembered: VecDeque::new() }
    }

    fn clog(&mut self, now: u64, odds: &Links) {
        if permille(&mut self.random, odds.clog_permille) {
            self.clogged_until = now + exponential(&mut self.random, odds.clog_ms * 1000);
        }
    }

    fn remember(&mut self, frame: &[u8]) {
        if self.remembered.len() == REMEMBERED {
            // Which one gives way is left to chance, so that some are old: of sessions long over.
            let gives_way = place(&mut self.random, REMEMBERED);
            self.remembered.remove(gives_way);
        }
        self.remembered.push_back(frame.to_vec());
    }

    fn some_remembered(&mut self) -> Vec<u8> {
        self.remembered[place(&mut self.random, self.remembered.len())].clone()
    }

    fn damage(&mut self, mut frame: Vec<u8>, odds: &Links) -> Vec<u8> {
        if permille(&mut self.random, odds.corrupt_permille) && !frame.is_empty() {
            let at = place(&mut self.random, frame.len());
            frame[at] ^= 1 << self.random.u8(0..8);
        }
        if permille(&mut self.random, odds.truncate_permille) {
            frame.truncate(place(&mut self.random, frame.len() + 1));
        }
        frame
    }

    fn arrival(&mut self, now: u64, frame: &[u8], odds: &Links) -> u64 {
        let sent = if odds.bytes_per_second == 0 {
            now
        } else {
            let span = (frame.len() as u64 * 1_000_000).div_ceil(odds.bytes_per_second);
            self.free_at = self.free_at.max(now) + span;
            self.free_at
        };
        let delay = odds.delay_min_us + exponential(&mut self.random, odds.delay_mean_us);
        let at = (sent + delay).max(self.clogged_until);
        if permille(&mut self.random, odds.reorder_permille) {
            return at;
        }
        self.last = self.last.max(at);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_separate_whom_they_should() {
        let split = Cut::Split(vec![vec![0, 1], vec![2, 3]]);
        assert!(split.separates(0, 2) && split.separates(3, 1));
        assert!(!split.separates(0, 1) && !split.separates(0, 4) && !split.separates(4, 2), "node 4 is a bridge");
        let mute = Cut::Mute(vec![0, 1]);
        assert!(mute.separates(0, 2) && !mute.separates(2, 0) && !mute.separates(0, 1));
        let deaf = Cut::Deaf(vec![0]);
        assert!(deaf.separates(2, 0) && !deaf.separates(0, 2));
        let ring = Cut::Ring(5);
        assert!(!ring.separates(0, 4) && !ring.separates(2, 3) && ring.separates(0, 2));
        let isolated = Cut::Isolate(vec![0, 1]);
        assert!(isolated.separates(0, 1) && isolated.separates(2, 0) && !isolated.separates(2, 3));
    }

    fn arrivals(links: Links, frames: u32) -> Vec<(u64, Vec<u8>)> {
        let mut network = Network::new(1, links);
        let mut arrived = Vec::new();
        for frame in 0..frames {
            network.send(u64::from(frame), 0, 1, frame.to_be_bytes().to_vec(), |at, frame| arrived.push((at, frame)));
        }
        arrived
    }

    #[test]
    fn a_link_without_faults_keeps_the_order() {
        let arrived = arrivals(Links::default(), 1000);
        assert!(arrived.len() == 1000 && arrived.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn faults_come_as_often_as_they_should() {
        let links = Links { loss_permille: 300, duplicate_permille: 200, ..Links::default() };
        let arrived = arrivals(links, 10_000).len();
        // 0.7 · 1.2 of them.
        assert!((8200..8600).contains(&arrived), "{arrived}");
        let arrived = arrivals(Links { reorder_permille: 200, ..Links::default() }, 10_000);
        assert!(arrived.windows(2).filter(|pair| pair[0].0 > pair[1].0).count() > 500);
        let arrived = arrivals(Links { truncate_permille: 100, ..Links::default() }, 10_000);
        assert!((600..1000).contains(&arrived.iter().filter(|(_, frame)| frame.len() < 4).count()));
    }

    #[test]
    fn a_narrow_link_takes_its_time() {
        let links = Links { bytes_per_second: 4_000, delay_mean_us: 0, delay_min_us: 0, ..Links::default() };
        assert_eq!(arrivals(links, 100).last().unwrap().0, 100_000);
    }
}
