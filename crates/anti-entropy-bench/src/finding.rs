//! Finding what differs between two replicas, and what that costs.

use std::collections::BTreeSet;
use std::time::Duration;

use anti_entropy::session::{Frame, Session, SessionOutput};
use anti_entropy::{Error, KeyHash, SessionConfig};
use cpu_time::ThreadTime;

use super::data::now;
use super::pair::Pair;

/// What one side found of the other, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The hashes of the keys found, in ascending order; see [`find`].
    pub keys: Vec<KeyHash>,
    /// All bytes of all frames, of both directions.
    pub bytes: u64,
    /// Requests answered; the opening one is the first.
    pub round_trips: u32,
    /// Processor time of both sides.
    pub cpu: Duration,
}

impl Finding {
    /// Whether the keys are these, going by the 64 bits of their hashes that a sketch knows.
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
/// It is the session that replicas hold with each other, and the frames are its frames. That it does not send batches
/// while it goes on finding is all that is special. Of keys that only the answerer holds, a sketch tells the first 64
/// bits of the hash; the others are zero then.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session is stuck, which it is not without a bug: no frame is lost.
pub fn find(pair: &mut Pair) -> Result<Finding, Error> {
    find_with(pair, SessionConfig::default())
}

/// The settings of sessions that compare trees whatever differs.
pub fn by_tree() -> SessionConfig {
    SessionConfig::default().with(|config| config.max_sketch_cells = 0)
}

/// Finds with settings other than the defaults; see [`find`].
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session is stuck, which it is not without a bug: no frame is lost.
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
                    Session::accept(&frame, 2, config, now()).expect("the first frame opens the session")
                });
                answerer.handle_frame(frame, &mut pair.theirs, true, now())?;
            }
            SessionOutput::Wait(_) => {
                let Some(SessionOutput::Send(bytes)) = answerer.as_mut().map(Session::poll_output) else {
                    panic!("nothing is under way, and not everything is found");
                };
                finding.bytes += bytes.len() as u64;
                let frame = decode(&bytes);
                finding.round_trips += u32::from(frame.fragment + 1 == frame.fragments);
                opener.handle_frame(frame, &mut pair.ours, true, now())?;
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
    Frame::decode(bytes, SessionConfig::default().checksum).expect("no frame is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found_and_nothing_is_exchanged() {
        let mut pair = Pair::new(3000, |_| {}).unwrap();
        for differences in [0, 1, 10, 1000, 3000] {
            pair.differ_at(differences).unwrap();
            for _ in 0..2 {
                assert!(find(&mut pair).unwrap().is_of(&pair.differing), "{differences}");
                let by_tree = find_with(&mut pair, by_tree()).unwrap();
                assert!(by_tree.keys.iter().eq(&pair.differing), "{differences}");
            }
        }
    }

    /// What is not to change unnoticed: round trips and bytes, by sketch and by tree.
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
        assert_eq!(costs(0), [(1, 107), (1, 106)]);
        assert_eq!(costs(1), [(1, 348), (3, 1389)]);
        assert_eq!(costs(100), [(1, 6008), (4, 20_702)]);
    }
}
