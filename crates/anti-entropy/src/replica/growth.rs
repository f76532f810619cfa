//! How much one peer may add to what all replicas keep for good: replicas in clocks, and pieces of the context.
//!
//! What has got in is never pruned, and all places are shared. So each peer has an account, and none can take the places of
//! all. Nothing tells a replica that a peer invents from one that it hands on: both are names that the peer says it has
//! seen. Hence three rules beside the account. A peer that has brought its share goes on slowly, for an honest one that
//! hands on what others invent must get through in the end. What a peer was refused for want of places, it saves up for.
//! And a replica that two peers name is charged to neither. A replica that is told of no account limits nobody.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Replica, ReplicaConfig, Replicated};
use crate::PeerId;
use crate::clock::{Context, ReplicaId};
use crate::refusal::Refusal;

/// How much more a peer may add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) replicas: usize,
    pub(crate) pieces: usize,
}

/// What a peer has added while it was heard, and what it would have had to be allowed for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grown {
    /// Replicas that no other peer has named.
    replicas: usize,
    pub(crate) refused: Growth,
}

/// What the peer brings whose frame is handled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brings {
    /// How many replicas it may bring to a replica that has seen nobody's writes.
    share: usize,
    /// How many of the replicas that come in now another peer has named.
    vouched: usize,
    grown: Grown,
}

/// Replicas that peers named and that did not get in, each list in ascending order. At most as many by peer as a clock may
/// name.
pub(super) type Offers = BTreeMap<PeerId, Vec<ReplicaId>>;

/// What is left to a peer, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GrowthAccount {
    replicas: Bucket,
    pieces: Bucket,
    /// How many replicas it has added so far.
    brought: usize,
}

/// Fills with time, up to an hour's worth or to what was refused for want of it.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// `None` until the peer sends something. Below zero is what it owes.
    left: Option<i64>,
    filled_at: Duration,
    wanted: usize,
}

impl Bucket {
    const HOUR: Duration = Duration::from_secs(3600);

    /// Adds what has come together since it was filled last, at `rate` an hour, but no more than `most`.
    fn fill(&mut self, rate: usize, most: i64, now: Duration) {
        let Some(left) = &mut self.left else {
            (self.left, self.filled_at) = (Some(most), now);
            return;
        };
        let room = u128::try_from(most.saturating_sub(*left)).unwrap_or(0);
        let elapsed = now.saturating_sub(self.filled_at);
        let rate = rate.max(1) as u128;
        let new = elapsed.as_millis().saturating_mul(rate) / Self::HOUR.as_millis();
        let taken = new.min(room);
        *left = left.saturating_add(i64::try_from(taken).unwrap_or(i64::MAX));
        let used =
            u64::try_from((taken * Self::HOUR.as_millis()).div_ceil(rate)).map_or(elapsed, Duration::from_millis);
        self.filled_at = self.filled_at.saturating_add(used.min(elapsed));
    }

    /// What is full saves up no time.
    fn rest(&mut self, most: i64, now: Duration) {
        if self.left.is_some_and(|left| left >= most) {
            self.filled_at = self.filled_at.max(now);
        }
    }

    fn left(&self) -> usize {
        self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(0)
    }

    fn wants(&mut self, refused: usize, has_added: bool) {
        let before = if has_added { 0 } else { self.wanted };
        self.wanted = before.max(refused);
    }

    fn most(&self, hour: usize) -> i64 {
        signed(hour.max(self.wanted))
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl GrowthAccount {
    /// What is left now to a peer whose share of the replicas is this one. Until it has brought its share, an hour's worth
    /// comes in an hour, and then a small part of that. While it owes nothing, it may bring as much more at once, and owes it:
    /// so who hands on what another invents, at the same pace, gets some others through.
    pub(crate) fn left(&mut self, now: Duration, share: usize, config: &ReplicaConfig) -> Growth {
        let (hour, slow) = (config.new_replicas_per_hour, config.new_replicas_beyond_share_per_hour());
        let most = self.replicas.most(hour.min(share));
        let fast = most.min(signed(share).saturating_sub(signed(self.brought)));
        self.replicas.fill(hour, fast, now);
        self.replicas.fill(slow, most, now);
        self.replicas.rest(most, now);
        let replicas = match self.replicas.left() {
            0 => 0,
            left => left.saturating_add(slow),
        };
        let most = self.pieces.most(config.new_pieces_per_hour);
        self.pieces.fill(config.new_pieces_per_hour, most, now);
        self.pieces.rest(most, now);
        Growth { replicas, pieces: self.pieces.left() }
    }

    /// Notes what a peer added, and what it has left of the pieces that it had.
    pub(crate) fn settle(&mut self, grown: Grown, left: Growth, config: &ReplicaConfig) {
        let lowest = signed(config.new_replicas_beyond_share_per_hour()).saturating_neg();
        self.brought = self.brought.saturating_add(grown.replicas);
        self.replicas.left = self.replicas.left.map(|had| had.saturating_sub(signed(grown.replicas)).max(lowest));
        // What was saved for has got in, or what is wanted now is something else.
        let has_added = (grown.replicas > 0, left.pieces < self.pieces.left());
        self.replicas.wants(grown.refused.replicas, has_added.0);
        self.pieces.wants(grown.refused.pieces, has_added.1);
        self.pieces.left = Some(signed(left.pieces).min(self.pieces.most(config.new_pieces_per_hour)));
    }
}

impl Brings {
    /// May bring so many replicas to one that has seen nobody's writes.
    pub(crate) fn within(share: usize) -> Self {
        Self { share, ..Self::default() }
    }

    /// What was added while the peer was heard.
    pub(crate) const fn grown(&self) -> Grown {
        self.grown
    }
}

/// Whose frame it is that is handled.
impl<V: Replicated> Replica<V> {
    fn brings(&mut self) -> Option<&mut Brings> {
        self.speaker.as_mut().map(|speaker| &mut speaker.brings)
    }

    /// Forgets what a peer said of itself, which replicas it named, and what it has seen. O(n) in the number of peers.
    pub(crate) fn forget_peer(&mut self, peer: &PeerId) {
        self.confirmed.forget(peer);
        self.peer_limits.forget(peer);
        self.offers.remove(peer);
    }

    /// From now on, what comes in may add so much; `None` for as much as there is room for. Returns what was left before.
    pub(crate) const fn allow_growth(&mut self, growth: Option<Growth>) -> Option<Growth> {
        core::mem::replace(&mut self.growth, growth)
    }
}

impl<V: Replicated> Replica<V> {
    /// Whether these replicas, which are new here and ascend, may come in. A replica that has seen nobody's writes yet takes
    /// in all that there are, or the share of the peer that it hears.
    pub(crate) fn check_new_replicas(&mut self, new: &[ReplicaId]) -> Result<(), Refusal> {
        plant!(check_growth());
        if let Some(brings) = self.brings() {
            brings.vouched = 0;
        }
        let Some(Growth { replicas: left, .. }) = self.growth else { return Ok(()) };
        let left = match &self.speaker {
            _ if !self.has_seen_nobody() => left,
            Some(speaker) => left.max(speaker.brings.share),
            None => usize::MAX,
        };
        if new.len() <= left {
            return Ok(());
        }
        let alone = new.iter().filter(|replica| !self.is_named_by_another(**replica)).count();
        if let Some(brings) = self.brings() {
            brings.vouched = new.len() - alone;
        }
        if alone <= left {
            return Ok(());
        }
        self.note_offer(new, alone);
        Err(Refusal::GrowsTooFast { new: alone, left })
    }

    /// Whether so many more pieces may come in. Any number may to a replica that has seen nobody's writes yet.
    pub(crate) fn check_new_pieces(&mut self, new: usize) -> Result<(), Refusal> {
        plant!(check_growth());
        let Some(Growth { pieces: left, .. }) = self.growth else { return Ok(()) };
        if new <= left || self.has_seen_nobody() {
            return Ok(());
        }
        if let Some(brings) = self.brings() {
            brings.grown.refused.pieces = new;
        }
        Err(Refusal::GrowsTooFast { new, left })
    }

    /// Whether this replica has seen no writes but its own.
    pub(crate) fn has_seen_nobody(&self) -> bool {
        self.context.replicas_len() == usize::from(self.context.own_counter() > 0)
    }

    /// Whether a peer other than the one that is heard has named this replica, and was refused.
    fn is_named_by_another(&self, replica: ReplicaId) -> bool {
        let mut others =
            self.offers.iter().filter(|(peer, _)| self.speaker.as_ref().is_some_and(|speaker| speaker.name != **peer));
        others.any(|(_, named)| named.binary_search(&replica).is_ok())
    }

    /// Notes what the peer that is heard was refused. Of single ones there are several offers, of which each adds to what
    /// was offered; more than a clock may name are forgotten.
    fn note_offer(&mut self, new: &[ReplicaId], alone: usize) {
        let Some(speaker) = &mut self.speaker else { return };
        speaker.brings.grown.refused.replicas = alone;
        let offered = self.offers.entry(speaker.name.clone()).or_default();
        if new.len() > 1 || offered.len() >= self.config.max_clock_replicas {
            offered.clear();
        }
        for replica in new {
            if let Err(at) = offered.binary_search(replica) {
                offered.insert(at, *replica);
            }
        }
    }

    /// Notes that a push has brought a replica.
    pub(crate) fn note_new_replica(&mut self) {
        self.charge_replicas(1);
    }

    /// Notes what has come in since the context was `before`. Pieces that have become one count as not used.
    pub(crate) fn note_growth(&mut self, before: &Context) {
        self.charge_replicas(self.context.replicas_len().saturating_sub(before.replicas_len()));
        let Some(left) = &mut self.growth else { return };
        left.pieces = left.pieces.saturating_add(before.pieces_len()).saturating_sub(self.context.pieces_len());
    }

    fn charge_replicas(&mut self, new: usize) {
        let mut alone = new;
        if let Some(brings) = self.brings() {
            alone = new.saturating_sub(core::mem::take(&mut brings.vouched));
            brings.grown.replicas += alone;
        }
        if let Some(left) = &mut self.growth {
            left.replicas = left.replicas.saturating_sub(alone);
        }
        // What has got in is no offer any more.
        if new > 0 {
            let context = &self.context;
            self.offers.values_mut().for_each(|named| named.retain(|replica| !context.names(*replica)));
            self.offers.retain(|_, named| !named.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Bucket::HOUR;

    /// What is left after the peer added what it could.
    fn take(account: &mut GrowthAccount, wants: usize, now: Duration, share: usize, config: &ReplicaConfig) -> usize {
        let left = account.left(now, share, config);
        let fits = wants <= left.replicas;
        let grown = Grown {
            replicas: if fits { wants } else { 0 },
            refused: Growth { replicas: if fits { 0 } else { wants }, pieces: 0 },
        };
        account.settle(grown, left, config);
        if fits { wants } else { 0 }
    }

    #[test]
    fn an_hours_worth_comes_evenly_and_no_more_than_that_is_saved() {
        let config = ReplicaConfig::default().with(|config| {
            (config.new_replicas_per_hour, config.new_pieces_per_hour, config.max_clock_replicas) = (60, 120, 1000);
        });
        let (mut account, start) = (GrowthAccount::default(), Duration::from_secs(100));
        assert_eq!(account.left(start, 1000, &config), Growth { replicas: 61, pieces: 120 });
        let grown = Grown { replicas: 60, ..Grown::default() };
        account.settle(grown, Growth { replicas: 1, pieces: 0 }, &config);
        assert_eq!(account.left(start, 1000, &config), Growth::default());
        let minute = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert_eq!(account.left(minute(1), 1000, &config), Growth { replicas: 2, pieces: 2 });
        assert_eq!(account.left(minute(10), 1000, &config), Growth { replicas: 11, pieces: 20 });
        assert_eq!(account.left(minute(600), 1000, &config), Growth { replicas: 61, pieces: 120 });
        assert_eq!(account.left(start, 1000, &config).replicas, 61, "a clock that goes back takes nothing away");
    }

    #[test]
    fn who_has_brought_its_share_goes_on_slowly() {
        let config = ReplicaConfig::default().with(|config| config.new_replicas_per_hour = 320);
        let mut account = GrowthAccount::default();
        assert_eq!(take(&mut account, 100, Duration::ZERO, 100, &config), 100);
        assert_eq!(account.left(HOUR / 20, 100, &config).replicas, 0);
        assert_eq!(account.left(HOUR / 10, 100, &config).replicas, 1 + 10);
        assert_eq!(account.left(HOUR, 100, &config).replicas, 10 + 10);
    }

    #[test]
    fn who_was_refused_saves_up_for_it_and_then_owes_it() {
        let config = ReplicaConfig::default().with(|config| config.new_replicas_per_hour = 320);
        let mut account = GrowthAccount::default();
        assert_eq!(take(&mut account, 150, Duration::ZERO, 100, &config), 0);
        // Beyond the share at ten an hour, and ten at once.
        assert_eq!(take(&mut account, 150, HOUR * 39 / 10, 100, &config), 0);
        assert_eq!(take(&mut account, 150, HOUR * 4, 100, &config), 150);
        assert_eq!(account.left(HOUR * 5, 100, &config).replicas, 0, "what was taken at once is owed");
        assert_eq!(account.left(HOUR * 51 / 10, 100, &config).replicas, 11);
    }

    #[test]
    fn who_hands_on_what_is_invented_as_fast_as_it_may_gets_some_more_through() {
        let config = ReplicaConfig::default().with(|config| config.new_replicas_per_hour = 320);
        let (mut inventor, mut honest) = (GrowthAccount::default(), GrowthAccount::default());
        let (mut held, mut handed_on, mut behind_since, mut longest) = (0, 0, 0, 0);
        for minute in 0..18 * 60 {
            let now = Duration::from_secs(60 * minute);
            held += take(&mut inventor, 1, now, 100, &config);
            // A node that is new, every two hours.
            held += usize::from(minute % 120 == 0);
            handed_on += take(&mut honest, held - handed_on, now, 100, &config);
            behind_since = if handed_on == held { minute } else { behind_since };
            longest = longest.max(minute - behind_since);
        }
        assert!(held > 250 && longest <= 60, "{held} replicas, and {longest} minutes behind");
    }

    #[test]
    fn who_may_add_any_number_may_go_on_to() {
        use crate::clock::Seed;
        use crate::replica::{Keyed, LastWriterWins, MemoryStore};

        let opened = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([1; 32]));
        let mut replica: Replica<Keyed<u32, u32>> = opened.unwrap();
        let all = Growth { replicas: usize::MAX, pieces: usize::MAX };
        replica.allow_growth(Some(all));
        let before = replica.context().clone();
        replica.note_growth(&before);
        let left = replica.allow_growth(None).unwrap();
        assert!(left.replicas == all.replicas && left.pieces > all.pieces / 2, "{left:?}");
    }
}
