//! A session that only finds the differences between two replicas, and its costs.

use std::collections::BTreeSet;
use std::time::Duration;

use anti_entropy::session::{Frame, Session, SessionOutput};
use anti_entropy::{Error, KeyHash, SessionConfig};
use cpu_time::ThreadTime;

use super::data::now;
use super::pair::Pair;

/// What the opener of a session found, and what that cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The hashes of the keys found, in ascending order; see [`find`].
    pub keys: Vec<KeyHash>,
    /// The bytes of all frames in both directions.
    pub bytes: u64,
    /// The number of requests that were answered. The opening request is the first.
    pub round_trips: u32,
    /// Processor time of both sides.
    pub cpu: Duration,
}

impl Finding {
    /// Whether these keys were found and no others. Compares the first 64 bits of the hashes: a sketch knows no more.
    pub fn is_of(&self, differing: &BTreeSet<KeyHash>) -> bool {
        self.keys.iter().map(|&key| short(key)).eq(differing.iter().map(|&key| short(key)))
    }
}

/// The first 64 bits of a key's hash, by which a sketch names it.
pub fn short(key: KeyHash) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// Runs a session with the default settings from its opening frame until the opener knows all keys that differ.
///
/// It is an ordinary session with its ordinary frames, except that it transfers no entries: ordinary sessions send the
/// first batches while they search for more. If a sketch finds a key that only the answerer holds, only the first 64
/// bits of its hash are known, and the others are zero.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session stops before it has found everything. No frame is lost, so that this is a bug.
pub fn find(pair: &mut Pair) -> Result<Finding, Error> {
    find_with(pair, SessionConfig::default())
}

/// The settings of a session that compares trees and sends no sketch.
pub fn by_tree() -> SessionConfig {
    SessionConfig::default().with(|config| config.max_sketch_cells = 0)
}

/// As [`find`], with other settings than the defaults.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session stops before it has found everything. No frame is lost, so that this is a bug.
pub fn find_with(pair: &mut Pair, config: SessionConfig) -> Result<Finding, Error> {
    let mut finding = Finding { keys: Vec::new(), bytes: 0, round_trips: 0, cpu: Duration::ZERO };
    let started = ThreadTime::now();
    let mut opener = Session::open_comparison(1, &mut pair.ours, config, now());
    let mut answerer: Option<Session> = None;
    while opener.differing_keys().is_none() {
        match opener.poll_output() {
            SessionOutput::Send(bytes) => {
                finding.bytes += bytes.len() as u64;
                let frame = decode(&bytes);
                let answerer = answerer.get_or_insert_with(|| {
                    Session::accept(&frame, 2, config, now())
                        .expect("the settings are valid")
                        .expect("the first frame opens the session")
                });
                answerer.handle_frame(frame, &mut pair.theirs, now())?;
            }
            SessionOutput::Wait(_) => {
                let Some(SessionOutput::Send(bytes)) = answerer.as_mut().map(Session::poll_output) else {
                    panic!("nothing is under way, and not everything is found");
                };
                finding.bytes += bytes.len() as u64;
                let frame = decode(&bytes);
                finding.round_trips += u32::from(frame.fragment + 1 == frame.fragments);
                opener.handle_frame(frame, &mut pair.ours, now())?;
            }
            // Equal roots: there is nothing to find.
            SessionOutput::Done(_) => break,
        }
    }
    finding.cpu = started.elapsed();
    finding.keys = opener.differing_keys().into_iter().flatten().collect();
    Ok(finding)
}

fn decode(bytes: &[u8]) -> Frame<'_> {
    Frame::decode(bytes, &SessionConfig::default()).expect("no frame is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found_and_nothing_is_exchanged() -> Result<(), Error> {
        let mut pair = Pair::new(3000, |_| {})?;
        for differences in [0, 1, 10, 1000, 3000] {
            pair.differ_at(differences)?;
            for _ in 0..2 {
                assert!(find(&mut pair)?.is_of(&pair.differing), "{differences}");
                let by_tree = find_with(&mut pair, by_tree())?;
                assert!(by_tree.keys.iter().eq(&pair.differing), "{differences}");
            }
        }
        Ok(())
    }

    /// Round trips and bytes are exact, so that no change of them goes unnoticed.
    #[test]
    fn finding_few_keys_takes_a_round_trip_by_sketch_and_some_by_tree() {
        let mut pair = Pair::new(10_000, |_| {}).unwrap();
        let mut costs = |differences| {
            pair.differ_at(differences).unwrap();
            [SessionConfig::default(), by_tree()].map(|config| {
                let found = find_with(&mut pair, config).unwrap();
                (found.round_trips, found.bytes)
            })
        };
        assert_eq!(costs(0), [(1, 117), (1, 116)]);
        assert_eq!(costs(1), [(1, 371), (3, 1412)]);
        assert_eq!(costs(100), [(1, 6031), (4, 20_725)]);
    }
}
