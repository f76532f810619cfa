//! What two nodes share: one digest over it, and the search for what differs.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::config::SharedSpacesConfig;
use super::frame;
use crate::KeyHash;
use crate::gossip::StateDigest;
use crate::summary::compare::{Answer, AnswerError, Ask, Comparison};
use crate::summary::{Fingerprint, KeyRange, MerkleTree, Root, Width};

/// A space, and the state that it has at the peer.
pub(super) type News = Vec<(KeyHash, StateDigest)>;

/// The spaces that this node shares with one peer.
#[derive(Default)]
pub(super) struct Pair {
    /// This node's states, by the hash of the space's number.
    tree: MerkleTree,
    /// The states that the peer was reported to have, and when.
    told: BTreeMap<KeyHash, (Duration, StateDigest)>,
    /// The root at which all were reported, and when.
    all_told: Option<(Duration, Root)>,
    walk: Option<Walk>,
    walked: Option<Walked>,
    /// The second in which the peer asked last, and how often it did.
    asked: (u64, u32),
}

/// A comparison that is under way.
struct Walk {
    comparison: Comparison,
    /// The number of the open question.
    number: u64,
    asked_at: Duration,
    round_trips: usize,
    /// Where the peer holds something else, or nothing.
    differ: BTreeSet<KeyHash>,
    news: News,
}

/// The comparisons that were begun of the same two roots, one after the other.
struct Walked {
    /// This node's, and the peer's.
    roots: (Root, Root),
    began_at: Duration,
    count: u32,
    /// Where the two differ, once a comparison has found everything; and when the other spaces were reported last.
    found: Option<(Duration, BTreeSet<KeyHash>)>,
}

/// What an answer led to.
pub(super) enum Step {
    Ask(Ask),
    /// The comparison has ended, and this is what there is to report.
    Ended(News),
}

impl Pair {
    pub(super) fn insert(&mut self, space: KeyHash, state: StateDigest) {
        self.tree.insert(space, Fingerprint::from_bytes(state.to_bytes()));
    }

    pub(super) fn remove(&mut self, space: KeyHash) {
        self.tree.remove(space);
        self.told.remove(&space);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    pub(super) fn root(&mut self) -> Root {
        self.tree.root()
    }

    /// The peer holds the same in all spaces. Returns those of which that was not reported lately.
    pub(super) fn all_equal(&mut self, config: &SharedSpacesConfig, now: Duration) -> News {
        let root = self.tree.root();
        self.walk = None;
        let is_recent = |at: Duration| now.saturating_sub(at) < config.equal_again;
        if self.all_told.is_some_and(|(at, told)| told == root && is_recent(at)) {
            return News::new();
        }
        self.all_told = Some((now, root));
        let states: News = self.tree.range(&KeyRange::ALL).map(|(space, state)| (space, digest(state))).collect();
        self.not_yet_told(states, config, now)
    }

    /// The peer has this root, which is not this node's. If both roots are as they were when they were compared, what was
    /// equal then still is: returns those spaces of which that was not reported lately.
    pub(super) fn still_equal(&mut self, theirs: Root, config: &SharedSpacesConfig, now: Duration) -> News {
        let roots = (self.tree.root(), theirs);
        let walked = self.walked.as_mut().filter(|walked| walked.roots == roots);
        let Some((told_at, differ)) = walked.and_then(|walked| walked.found.as_mut()) else { return News::new() };
        if now.saturating_sub(*told_at) < config.equal_again {
            return News::new();
        }
        *told_at = now;
        let equal = self.tree.range(&KeyRange::ALL).filter(|(space, _)| !differ.contains(space));
        let equal = equal.map(|(space, state)| (space, digest(state))).collect();
        self.not_yet_told(equal, config, now)
    }

    /// Begins a comparison with a peer that has this root, unless one is under way or has just been. Returns its first
    /// question.
    pub(super) fn begin(
        &mut self,
        theirs: Root,
        number: u64,
        config: &SharedSpacesConfig,
        now: Duration,
    ) -> Option<Ask> {
        let within = |at: Duration, span: Duration| now.saturating_sub(at) < span;
        let roots = (self.tree.root(), theirs);
        let is_walking = self.walk.as_ref().is_some_and(|walk| within(walk.asked_at, config.answer_timeout));
        let is_paused = |walked: &Walked| within(walked.began_at, walked.pause_before(roots, config));
        if is_walking || self.walked.as_ref().is_some_and(is_paused) {
            return None;
        }
        match self.walked.as_mut().filter(|walked| walked.roots == roots) {
            Some(again) => (again.began_at, again.count) = (now, again.count.saturating_add(1)),
            None => self.walked = Some(Walked { roots, began_at: now, count: 1, found: None }),
        }
        let mut comparison = Comparison::new(self.tree.snapshot(), Width::Full);
        let ask = comparison.next_ask(1)?;
        let (differ, news) = (BTreeSet::new(), News::new());
        self.walk = Some(Walk { comparison, number, asked_at: now, round_trips: 0, differ, news });
        Some(ask)
    }

    /// Takes an answer to the question of this number, and goes on with the next. `None` if nothing was asked by it.
    pub(super) fn handle_answer(
        &mut self,
        number: u64,
        answer: &Answer,
        next: u64,
        config: &SharedSpacesConfig,
        now: Duration,
    ) -> Option<Result<Step, AnswerError>> {
        let walk = self.walk.as_mut().filter(|walk| walk.number == number)?;
        if let Err(error) = walk.comparison.handle_answer(answer) {
            self.walk = None;
            return Some(Err(error));
        }
        walk.round_trips += 1;
        walk.take_found(config.max_differences.get());
        let is_spent =
            walk.round_trips >= config.max_round_trips.get() || walk.news.len() >= config.max_differences.get();
        let prefixes = config.max_prefixes.get().min(frame::prefixes_in(config.max_frame_bytes));
        match walk.comparison.next_ask(prefixes).filter(|_| !is_spent) {
            Some(ask) => {
                (walk.number, walk.asked_at) = (next, now);
                Some(Ok(Step::Ask(ask)))
            }
            None => Some(Ok(Step::Ended(self.end_walk(config, now)))),
        }
    }

    /// What differs; and if nothing was left out, what is equal, as far as it was not reported lately.
    fn end_walk(&mut self, config: &SharedSpacesConfig, now: Duration) -> News {
        let Some(walk) = self.walk.take() else { return News::new() };
        let mut news = walk.news;
        if walk.comparison.is_complete() && news.len() < config.max_differences.get() {
            let compared = walk.comparison.snapshot().range(&KeyRange::ALL);
            // A state that has changed meanwhile says nothing about the present one.
            let equal = compared.filter(|(space, state)| {
                !walk.differ.contains(space) && self.tree.get(*space).is_some_and(|held| held == *state)
            });
            let equal: News = equal.map(|(space, state)| (space, digest(state))).collect();
            news.extend(self.not_yet_told(equal, config, now));
            if let Some(walked) = &mut self.walked {
                let told_at = walked.found.as_ref().map_or(now, |(told_at, _)| *told_at);
                walked.found = Some((told_at, walk.differ));
            }
        }
        news
    }

    fn not_yet_told(&mut self, states: News, config: &SharedSpacesConfig, now: Duration) -> News {
        let mut news = News::new();
        for (space, state) in states {
            let told = self.told.get(&space);
            if told.is_some_and(|(at, told)| *told == state && now.saturating_sub(*at) < config.equal_again) {
                continue;
            }
            self.told.insert(space, (now, state));
            news.push((space, state));
        }
        news
    }

    /// Whether one more question of the peer may be answered.
    pub(super) fn may_answer(&mut self, config: &SharedSpacesConfig, now: Duration) -> bool {
        if self.asked.0 != now.as_secs() {
            self.asked = (now.as_secs(), 0);
        }
        self.asked.1 = self.asked.1.saturating_add(1);
        self.asked.1 <= config.answers_per_second.get()
    }

    pub(super) fn answer(&mut self, ask: &Ask, max_bytes: usize) -> Answer {
        crate::summary::compare::answer(&self.tree.snapshot(), ask, max_bytes)
    }
}

impl Walked {
    /// How long after the last comparison the next one may begin, of these roots.
    fn pause_before(&self, roots: (Root, Root), config: &SharedSpacesConfig) -> Duration {
        let doublings = if self.roots == roots { self.count.saturating_sub(1).min(20) } else { 0 };
        config.pause.saturating_mul(1 << doublings).min(config.longest_pause)
    }
}

impl Walk {
    /// Takes all that is known to differ, and reports at most so much of it.
    fn take_found(&mut self, max: usize) {
        // Everything, also what is not reported: what is not known to differ would be reported as equal.
        for found in self.comparison.take_found(None, usize::MAX) {
            // What the peer alone holds says nothing about a space of this node.
            if found.ours.is_none() {
                continue;
            }
            self.differ.insert(found.key);
            // Where the peer holds nothing, it has not heard yet that it should.
            let theirs = found.theirs.and_then(|theirs| theirs.as_bytes().try_into().ok());
            let reported = theirs.filter(|_| self.news.len() < max);
            self.news.extend(reported.map(|theirs| (found.key, StateDigest::from_bytes(theirs))));
        }
    }
}

fn digest(state: Fingerprint) -> StateDigest {
    StateDigest::from_bytes(state.to_bytes())
}
