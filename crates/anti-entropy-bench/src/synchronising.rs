//! Making two replicas equal, and what that costs.

use anti_entropy::session::{Frame, Outcome, Session, SessionOutput, SessionStats};
use anti_entropy::{Error, Replica, Replicated, SessionConfig};

use super::data::now;

/// What a session took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synchronised {
    /// All bytes of all frames, of both directions.
    pub bytes: u64,
    /// Bytes of values among them.
    pub value_bytes: u64,
    /// Bytes of parts among those of values.
    pub part_bytes: u64,
    /// Bytes of parts that one of the two did not hold.
    pub part_bytes_needed: u64,
    /// Requests answered; the opening one is the first.
    pub round_trips: u32,
}

/// Runs a session with the default settings until both replicas are equal. `each_frame` is shown all frames of both
/// directions.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session does not make them equal, which it does without a bug: no frame is lost.
pub fn synchronise<V: Replicated>(
    ours: &mut Replica<V>,
    theirs: &mut Replica<V>,
    mut each_frame: impl FnMut(&[u8]),
) -> Result<Synchronised, Error> {
    let config = SessionConfig::default();
    let needed = [&*ours, &*theirs].map(|replica| replica.stats().part_bytes_needed);
    let mut opener = Session::open(1, ours, config, now());
    let mut answerer: Option<Session> = None;
    let finished = loop {
        match opener.poll_output() {
            SessionOutput::Send(bytes) => {
                each_frame(&bytes);
                let frame = Frame::decode(&bytes, config.checksum).expect("no frame is damaged");
                let answerer = answerer.get_or_insert_with(|| {
                    Session::accept(&frame, 2, config, now()).expect("the first frame opens the session")
                });
                answerer.handle_frame(frame, theirs, true, now())?;
            }
            SessionOutput::Wait(_) => {
                let Some(SessionOutput::Send(bytes)) = answerer.as_mut().map(Session::poll_output) else {
                    panic!("nothing is under way, and the replicas are not equal");
                };
                each_frame(&bytes);
                let frame = Frame::decode(&bytes, config.checksum).expect("no frame is damaged");
                opener.handle_frame(frame, ours, true, now())?;
            }
            SessionOutput::Done(finished) => break finished,
        }
    };
    assert_eq!(finished.outcome, Outcome::Converged);
    let Some(SessionOutput::Done(at_answerer)) = answerer.as_mut().map(Session::poll_output) else {
        panic!("the opener has ended, and the answerer has not");
    };
    let of_both = |count: fn(&SessionStats) -> u64| count(&finished.stats) + count(&at_answerer.stats);
    Ok(Synchronised {
        bytes: of_both(|stats| stats.bytes_sent),
        value_bytes: of_both(|stats| stats.value_bytes_sent),
        part_bytes: of_both(|stats| stats.part_bytes_sent),
        part_bytes_needed: ours.stats().part_bytes_needed + theirs.stats().part_bytes_needed
            - needed.iter().sum::<u64>(),
        round_trips: finished.stats.round_trips,
    })
}
