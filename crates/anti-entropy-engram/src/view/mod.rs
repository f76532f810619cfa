//! The semantic view: what the patterns of all nodes mean together.
//!
//! Replication makes the versions of each id equal on all replicas. It cannot see that two *different* ids have the same
//! meaning, or claim the same episodes. The view does. It is a pure function of the set of ids with their versions: replicas
//! that hold the same set compute the same view, bit for bit, in whatever order the set arrived. The view changes and deletes
//! nothing in the replica, and every item names its patterns.
//!
//! ```
//! use anti_entropy::clock::{Now, Seed};
//! use anti_entropy::{KeepAll, MemoryStore, Replica};
//! use anti_entropy_engram::view::{SemanticView, ViewConfig};
//! use anti_entropy_engram::{MemorySpace, Pattern, SemanticPattern};
//! use chrono::DateTime;
//!
//! let two = 2.try_into()?;
//! let space = MemorySpace::new("default").with(|space| space.dimension = two);
//! let mut replica = Replica::open(MemoryStore::new(), KeepAll, Seed::from_os()?)?;
//! for (id, embedding, episode) in [("pattern_1", [1.0, 0.0], "c"), ("pattern_2", [0.9, 0.1], "d")] {
//!     let pattern = SemanticPattern {
//!         id: id.to_string(),
//!         embedding: embedding.to_vec(),
//!         source_episodes: ["a", "b", episode].map(str::to_string).to_vec(),
//!         strength: 0.8,
//!         schema_confidence: 0.6,
//!         last_consolidated: DateTime::UNIX_EPOCH,
//!     };
//!     replica.write(Pattern::new(&pattern, "node-1", &space)?, Now::default())?;
//! }
//! let mut view = SemanticView::new(space, ViewConfig::default())?;
//! assert!(view.follow(&mut replica)?);
//! let item = view.items().next().expect("the two are merged");
//! assert_eq!(item.patterns(), ["pattern_1", "pattern_2"]);
//! assert_eq!(item.episodes().len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Definition
//!
//! **Base patterns.** Each id has one base pattern. If the id has a single version, that is the base pattern. Several versions
//! that do not all [say the same](crate::Pattern::says_same) are a conflict of **type 3**. Those that do are *replicated*: several
//! nodes consolidated the same episodes. The space's [`Resolution`](crate::Resolution) makes the base pattern of them; with
//! [`KeepAll`](crate::Resolution::KeepAll), which resolves nothing, [`vote`](crate::vote) does. The agreement that the conflict
//! reports is always that of the vote.
//!
//! **Pairs.** Two different ids are related by their base patterns. The *overlap* of two is the Jaccard index of their sets of
//! episodes, the size of the intersection divided by the size of the union, as `f64`; 0 if both are empty. Their *cosine* is
//! `clamp(dot(a, b) / sqrt(dot(a, a) · dot(b, b)), -1, 1)` in `f64`; 0 if one embedding is all zeros, or if the dimensions
//! differ. `dot` has eight partial sums: `s[k]` adds up, from 0, the products at the indices `k`, `k + 8`, `k + 16`, ... in
//! this order, and the result is `((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))`. The space's
//! [`Thresholds`](crate::Thresholds) decide the type of a pair; the first rule that matches applies:
//!
//! 1. **Type 1**, the same core: overlap ≥ `merge_overlap` and cosine ≥ `merge_cosine`.
//! 2. **Type 2**, similar: cosine ≥ `link_cosine`.
//! 3. **Type 4**, contested: the two have an episode in common.
//! 4. Otherwise they are not related.
//!
//! **Items.** Take the connected components of the type 1 relation that have two or more members. A component in which *every*
//! pair is of type 1 is *merged* into one item. The others are *unresolved*:
//! [`unresolved`](SemanticView::unresolved) lists them for an operator, and each member is an item of its own. So is every
//! pattern that is in no component. (That A resembles B and B resembles C does not mean that A resembles C: a pattern is only
//! merged with patterns that it resembles, each of them.)
//!
//! A merged item has the episodes of all members. Its strength, time and base confidence are those of the member with the
//! highest confidence; of members with equal confidence, the one with the greater strength, then the later time, then the
//! smaller id. Its embedding is the mean of the members' embeddings, weighted by confidence (equally if all confidences are 0)
//! and summed in `f64` in ascending order of the ids. Members of another dimension than the deciding member's do not count in
//! the mean.
//!
//! **Confidence.** Conflicts with other items lower the confidence of an item I. It is the base confidence times `f2 · f4`, in
//! `f64`, rounded to `f32` once.
//!
//! - `f2 = 1 - q / 2`, where `q` is the greatest `clamp((cosine - link_cosine) / (1 - link_cosine), 0, 1)` over the pairs of
//!   type 2 of a pattern in I and a pattern outside of it; `q = 1` if `link_cosine` is 1. Without such a pair `f2 = 1`. Of two
//!   items with the same meaning, each is taken to be right about half of it.
//! - `f4 = 1 - (c / |E|) / 2`, where `c` counts the episodes of I, of |E| in all, that a pattern outside of I also has which
//!   forms a pair of type 4 with a pattern in I. Without such a pair `f4 = 1`. An episode that others claim too counts half.
//!
//! The confidence is therefore never above the base confidence and never below a quarter of it, and equal to it without pairs
//! of type 2 and 4. Only the closest link counts, and each episode counts once, so that an item does not vanish because many
//! resemble it.
//!
//! **Hash.** [`hash`](SemanticView::hash) covers all items and conflicts; docs/protocol.md, "The semantic view", defines its
//! bytes.
//!
//! # How it is computed
//!
//! An exhaustive but conservative search in `f32` and an index from episodes to patterns find candidates for pairs. The exact
//! cosine decides about each candidate, so that no rounding of `f32` shows in the result. After a change the view searches
//! only for the patterns that changed, and computes again only the components, items and confidences that they touch.

mod apply;
mod component;
mod confidence;
mod config;
mod conflict;
mod cosine;
mod hash;
mod holders;
mod item;
mod matrix;
mod merging;
mod numbers;
mod patterns;
mod recall;
mod relation;
mod semantic_view;

pub use self::config::{FollowError, ViewConfig, ViewError};
pub use self::conflict::{Conflict, ConflictCounts};
pub use self::hash::ViewHash;
pub use self::item::ViewItem;
pub use self::recall::{RecallChanges, RecallFeed};
pub use self::semantic_view::SemanticView;
