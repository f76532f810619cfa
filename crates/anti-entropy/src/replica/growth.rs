//! How much one peer may add to what all replicas keep for good: replicas in clocks, and pieces of the context.
//!
//! What has got in is never pruned, and all places are shared. So each peer has an hour's worth of its own, and none can
//! take the places of all. Who hands on a peer's frames keeps its account; a replica that is told of none limits nobody.

use core::time::Duration;

use super::{Replica, ReplicaConfig, Replicated};
use crate::clock::Context;
use crate::refusal::Refusal;

/// How much more a peer may add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) replicas: usize,
    pub(crate) pieces: usize,
}

/// What is left to a peer, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GrowthAccount {
    /// `None` until the peer sends something.
    left: Option<Growth>,
    filled_at: Duration,
}

impl GrowthAccount {
    const HOUR: Duration = Duration::from_secs(3600);

    /// What is left now: what has not been used up in earlier hours adds up, so that in the end everything gets in that the
    /// limits of the replica allow.
    pub(crate) fn left(&mut self, now: Duration, config: &ReplicaConfig) -> Growth {
        let hour = Growth { replicas: config.new_replicas_per_hour, pieces: config.new_pieces_per_hour };
        let Some(left) = self.left else {
            (self.left, self.filled_at) = (Some(hour), now);
            return hour;
        };
        let hours = now.saturating_sub(self.filled_at).as_secs() / Self::HOUR.as_secs();
        self.filled_at += Self::HOUR * u32::try_from(hours).unwrap_or(u32::MAX);
        let hours = usize::try_from(hours).unwrap_or(usize::MAX);
        let fill =
            |left: usize, rate: usize, most: usize| left.saturating_add(rate.saturating_mul(hours)).min(most.max(rate));
        let pieces = config.max_context_pieces.get().saturating_mul(ReplicaConfig::PIECES_OF_PEERS);
        let left = Growth {
            replicas: fill(left.replicas, hour.replicas, config.max_clock_replicas),
            pieces: fill(left.pieces, hour.pieces, pieces),
        };
        self.left = Some(left);
        left
    }

    /// Notes what a peer has left of what it had.
    pub(crate) fn leave(&mut self, left: Growth) {
        self.left = Some(left);
    }
}

impl<V: Replicated> Replica<V> {
    /// From now on, what comes in may add so much; `None` for as much as there is room for. Returns what was left before.
    pub(crate) const fn allow_growth(&mut self, growth: Option<Growth>) -> Option<Growth> {
        core::mem::replace(&mut self.growth, growth)
    }

    /// Whether so many more replicas and pieces may come in. Everything may to a replica that has seen nobody's writes yet.
    pub(crate) fn check_growth(&self, replicas: usize, pieces: usize) -> Result<(), Refusal> {
        plant!(check_growth());
        let Some(left) = self.growth else { return Ok(()) };
        let is_new = self.context.replicas_len() == usize::from(self.context.own_counter() > 0);
        for (new, left) in [(replicas, left.replicas), (pieces, left.pieces)] {
            if new > left && !is_new {
                return Err(Refusal::GrowsTooFast { new, left });
            }
        }
        Ok(())
    }

    /// Notes that a push has brought a replica.
    pub(crate) fn note_new_replica(&mut self) {
        if let Some(left) = &mut self.growth {
            left.replicas = left.replicas.saturating_sub(1);
        }
    }

    /// Notes what has come in since the context was `before`. Pieces that have become one count as not used.
    pub(crate) fn note_growth(&mut self, before: &Context) {
        let Some(left) = &mut self.growth else { return };
        left.replicas = left.replicas.saturating_sub(self.context.replicas_len().saturating_sub(before.replicas_len()));
        left.pieces = left.pieces.saturating_add(before.pieces_len()).saturating_sub(self.context.pieces_len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_up_adds_up_to_the_places_that_there_are() {
        let config = ReplicaConfig::default().with(|config| {
            (config.new_replicas_per_hour, config.new_pieces_per_hour, config.max_clock_replicas) = (10, 20, 35);
        });
        let (mut account, hour) = (GrowthAccount::default(), GrowthAccount::HOUR);
        let start = Duration::from_secs(100);
        assert_eq!(account.left(start, &config), Growth { replicas: 10, pieces: 20 });
        account.leave(Growth { replicas: 3, pieces: 0 });
        let before = start + Duration::from_secs(3599);
        assert_eq!(account.left(before, &config), Growth { replicas: 3, pieces: 0 });
        assert_eq!(account.left(start + hour, &config), Growth { replicas: 13, pieces: 20 });
        assert_eq!(account.left(start + 10 * hour, &config).replicas, 35);
        assert_eq!(account.left(start, &config).replicas, 35, "a clock that goes back takes nothing away");
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
