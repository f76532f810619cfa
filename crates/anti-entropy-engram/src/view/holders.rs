//! Which patterns have an episode.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::numbers::{Episode, Slot};
use crate::Episodes;

/// An index from episodes to the patterns that have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders {
    numbers: BTreeMap<Arc<str>, Episode>,
    episodes: Vec<HeldEpisode>,
    free: Vec<Episode>,
}

#[derive(Clone, Debug)]
struct HeldEpisode {
    id: Arc<str>,
    by: Vec<Slot>,
}

impl Holders {
    /// Adds a pattern that has these episodes. Returns the episodes' numbers in the order of their ids.
    /// O(episodes · log(all episodes))
    pub(super) fn insert(&mut self, slot: Slot, episodes: &Episodes) -> Vec<Episode> {
        let numbers = episodes.iter().map(|id| {
            let number = self.numbers.get(id).copied().unwrap_or_else(|| self.add(id));
            self.episodes[number].by.push(slot);
            number
        });
        numbers.collect()
    }

    fn add(&mut self, id: &str) -> Episode {
        let held = HeldEpisode { id: id.into(), by: Vec::new() };
        let id = Arc::clone(&held.id);
        let number = if let Some(number) = self.free.pop() {
            self.episodes[number] = held;
            number
        } else {
            self.episodes.push(held);
            self.episodes.len() - 1
        };
        self.numbers.insert(id, number);
        number
    }

    /// Removes a pattern that has these episodes.
    pub(super) fn remove(&mut self, slot: Slot, episodes: &[Episode]) {
        for number in episodes {
            let held = &mut self.episodes[*number];
            held.by.retain(|other| *other != slot);
            if held.by.is_empty() {
                held.by = Vec::new();
                self.numbers.remove(&held.id);
                self.free.push(*number);
            }
        }
    }

    /// The patterns that have an episode, in no order.
    pub(super) fn of(&self, episode: Episode) -> &[Slot] {
        &self.episodes[episode].by
    }
}
