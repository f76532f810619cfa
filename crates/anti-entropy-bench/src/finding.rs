//! Finding what differs between two replicas, and what that costs.

use std::time::Duration;

use anti_entropy::KeyHash;
use anti_entropy::replica::Error;
use anti_entropy::session::{Frame, Output, Session, SessionConfig};
use cpu_time::ThreadTime;

use super::pair::{Pair, now};

/// What one side found of the other, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The hashes of the keys found, in ascending order.
    pub keys: Vec<KeyHash>,
    /// All bytes of all frames, of both directions.
    pub bytes: u64,
    /// Requests answered; the opening one is the first.
    pub round_trips: u32,
    /// Processor time of both sides.
    pub cpu: Duration,
}

/// Runs a session from its opening frame until the opener knows all keys that differ.
///
/// It is the session that replicas hold with each other, and the frames are its frames. The settings are the defaults;
/// that it does not send batches while it goes on finding is all that is special.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session is stuck, which it is not without a bug: no frame is lost.
pub fn find(pair: &mut Pair) -> Result<Finding, Error> {
    let config = SessionConfig::default();
    let mut finding = Finding { keys: Vec::new(), bytes: 0, round_trips: 0, cpu: Duration::ZERO };
    let started = ThreadTime::now();
    let mut opener = Session::open_comparison(1, &mut pair.ours, config, now());
    let mut answerer: Option<Session> = None;
    while opener.differing_keys().is_none() {
        match opener.poll_output() {
            Output::Send(bytes) => {
                finding.bytes += bytes.len() as u64;
                let frame = decode(&bytes);
                let answerer = answerer.get_or_insert_with(|| {
                    Session::accept(&frame, 2, config, now()).expect("the first frame opens the session")
                });
                answerer.handle_frame(frame, &mut pair.theirs, true, now())?;
            }
            Output::Wait(_) => {
                let Some(Output::Send(bytes)) = answerer.as_mut().map(Session::poll_output) else {
                    panic!("nothing is under way, and not everything is found");
                };
                finding.bytes += bytes.len() as u64;
                let frame = decode(&bytes);
                finding.round_trips += u32::from(frame.fragment + 1 == frame.fragments);
                opener.handle_frame(frame, &mut pair.ours, true, now())?;
            }
            // Equal roots: there is nothing to find.
            Output::Done(_) => break,
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
                let finding = find(&mut pair).unwrap();
                assert!(finding.keys.iter().eq(&pair.differing), "{differences}");
            }
        }
    }

    /// What is not to change unnoticed.
    #[test]
    fn finding_nothing_takes_a_round_trip_and_finding_one_key_three() {
        let mut pair = Pair::new(10_000, |_| {}).unwrap();
        let equal = find(&mut pair).unwrap();
        assert_eq!((equal.round_trips, equal.bytes), (1, 87));
        pair.differ_at(1).unwrap();
        let one = find(&mut pair).unwrap();
        assert_eq!((one.round_trips, one.bytes), (3, 1370));
    }

    /// What is not to change unnoticed.
    #[test]
    fn finding_one_key_of_a_hundred_takes_some_two_hundred_bytes_a_key() {
        let mut pair = Pair::new(10_000, |_| {}).unwrap();
        pair.differ_at(100).unwrap();
        let found = find(&mut pair).unwrap();
        assert_eq!((found.round_trips, found.bytes), (4, 20_683));
    }
}
