//! Drawing runs with a hostile member.

use core::num::{NonZeroU64, NonZeroUsize};

use super::class::Class;
use super::{Swarm, settings};
use crate::scenario::{Abuse, Fault, Step};

impl Swarm {
    /// One member that does one to three things that harm others, and goes on until these have exchanged what they hold. The
    /// others meet weak faults.
    pub(super) fn hostile(&mut self) {
        self.scenario.links = settings::mild_links(&mut self.random);
        self.scenario.healed_links.loss_permille = 0;
        self.scenario.gossip = settings::gossip(&mut self.random);
        self.short_rounds();
        self.little_to_spare();
        // What is bounded is bounded by far less than this, but for values: a hundred kilobytes each, a few at a time.
        self.scenario.heap_bytes = Some(4 << 20);
        // Values of usual size that do not all fit into one batch.
        self.scenario.keys = self.random.one_of(&[2, 6, 20, 60]);
        let member = self.random.between_u32(0, self.scenario.nodes - 1);
        let duration = self.scenario.duration_ms;
        let count = self.random.between_u32(1, 3);
        let all: Vec<Abuse> = Abuse::ALL.into_iter().filter(|abuse| *abuse != Abuse::SLOW_TO_SIMULATE).collect();
        let places = self.random.distinct(count, u32::try_from(all.len()).unwrap_or(1));
        let does = places.into_iter().map(|place| all[place as usize]).collect();
        let start_ms = self.random.strength(0..=duration / 2);
        let fault = Fault::Hostile { does };
        self.push(Step { start_ms, end_ms: duration, nodes: vec![member], fault });
        self.part(member);
        let steps = self.random.between(0, 2);
        self.steps(&[Class::Partition, Class::Pause], steps);
    }

    /// A duration and rounds that are short, since three times a bound in rounds may have to be simulated.
    fn short_rounds(&mut self) {
        self.scenario.duration_ms = self.random.strength(8_000..=15_000);
        self.scenario.at_least_ms = 0;
        let interval = self.random.one_of(&[500, 1_000, 2_000]);
        let gossip = &mut self.scenario.gossip;
        let min_interval = interval / self.random.one_of(&[1, 2, 5]);
        (gossip.interval_ms, gossip.min_interval_ms) = (Some(interval), Some(min_interval));
        gossip.backoff_min_ms = Some(min_interval);
        gossip.backoff_max_ms = Some(self.random.strength(interval..=3 * interval));
        gossip.idle_timeout_ms = Some(self.random.strength(600..=3 * interval.max(600)));
        // A member that goes on for as long as it may keeps others waiting for all of it, and then has to wait for them.
        gossip.transfer_turn_ms = Some(self.random.strength(interval / 2..=3 * interval));
    }

    /// Budgets, batches and disks of which a member can use up much.
    fn little_to_spare(&mut self) {
        let gossip = &mut self.scenario.gossip;
        gossip.push = self.random.permille(500).then_some(false);
        if self.random.permille(500) {
            gossip.bytes_per_second = NonZeroU64::new(self.random.strength(500_000..=2_000_000));
            gossip.burst_bytes = NonZeroU64::new(self.random.strength(1..=100_000));
        }
        gossip.batch_entries = self.random.one_of(&[None, Some(3), Some(20)]).and_then(NonZeroUsize::new);
        if self.random.permille(500) {
            self.scenario.commit_us = self.random.strength(500..=10_000);
        }
    }

    /// Parts the others shortly before the end, so that they have something to exchange.
    fn part(&mut self, member: u32) {
        let others: Vec<u32> = (0..self.scenario.nodes).filter(|node| *node != member).collect();
        let (one, other) = others.split_at(others.len() / 2);
        let end_ms = self.scenario.duration_ms;
        let start_ms = self.random.strength(0..=end_ms / 2);
        // The hostile one is in no group, so that it reaches both.
        let fault = Fault::Split { groups: vec![one.to_vec(), other.to_vec()] };
        self.push(Step { start_ms, end_ms, nodes: Vec::new(), fault });
    }
}
