//! A session that makes two replicas equal, and its costs.

use anti_entropy::session::{Frame, Outcome, Session, SessionOutput, SessionStats};
use anti_entropy::{Error, Replica, Replicated, SessionConfig};

use super::data::now;

/// What a session sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synchronised {
    /// The bytes of all frames in both directions.
    pub bytes: u64,
    /// The bytes of values among them.
    pub value_bytes: u64,
    /// The bytes of parts among those of values.
    pub part_bytes: u64,
    /// The bytes of parts that their receiver needed. If more were sent, the receiver held the rest before.
    pub part_bytes_needed: u64,
    /// The number of requests that were answered. The opening request is the first.
    pub round_trips: u32,
}

/// Runs a session with the default settings until both replicas are equal. Calls `each_frame` for each frame of either
/// side.
///
/// # Errors
/// If a replica's store fails, which one in memory does not.
///
/// # Panics
/// If the session ends before they are equal. No frame is lost, so that this is a bug.
pub fn synchronise<V: Replicated>(
    ours: &mut Replica<V>,
    theirs: &mut Replica<V>,
    mut each_frame: impl FnMut(&[u8]),
) -> Result<Synchronised, Error> {
    let config = SessionConfig::default();
    let needed = [&*ours, &*theirs].map(|replica| replica.stats().part_bytes_needed);
    let mut opener = Session::open(1, ours, config, now()).expect("the settings are valid");
    let mut answerer: Option<Session> = None;
    let finished = loop {
        match opener.poll_output() {
            SessionOutput::Send(bytes) => {
                each_frame(&bytes);
                let frame = Frame::decode(&bytes, &config).expect("no frame is damaged");
                let answerer = answerer.get_or_insert_with(|| {
                    Session::accept(&frame, 2, config, now())
                        .expect("the settings are valid")
                        .expect("the first frame opens the session")
                });
                answerer.handle_frame(frame, theirs, now())?;
            }
            SessionOutput::Wait(_) => {
                let Some(SessionOutput::Send(bytes)) = answerer.as_mut().map(Session::poll_output) else {
                    panic!("nothing is under way, and the replicas are not equal");
                };
                each_frame(&bytes);
                let frame = Frame::decode(&bytes, &config).expect("no frame is damaged");
                opener.handle_frame(frame, ours, now())?;
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
