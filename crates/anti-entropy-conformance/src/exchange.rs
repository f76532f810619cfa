use anti_entropy::clock::Now;
use anti_entropy::session::{Frame, Outcome, PartialReason, Session, SessionOutput};
use anti_entropy::{Error, Replica, Replicated, SessionConfig};

/// Runs one session between two replicas of the same process, over a link without faults, to its end.
///
/// For tests and examples of plug-ins: two replicas with an own store, item or resolver are brought together by it. It
/// returns how the session ended for its opener.
///
/// ```
/// use anti_entropy::clock::{Now, Seed};
/// use anti_entropy_conformance::exchange;
/// use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica};
/// use anti_entropy::session::Outcome;
///
/// let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
/// let open = |seed| Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32]));
/// let (mut alice, mut bob) = (open(1)?, open(2)?);
/// alice.write(Keyed::new("colour".to_string(), "green".to_string()), now)?;
/// assert_eq!(exchange(&mut alice, &mut bob, now)?, Outcome::Converged);
/// assert_eq!(bob.read(&"colour".to_string())?.value().unwrap().value, "green");
/// # Ok::<(), anti_entropy::Error>(())
/// ```
///
/// # Errors
/// If a store fails, or its content is damaged.
pub fn exchange<V: Replicated>(opener: &mut Replica<V>, answerer: &mut Replica<V>, now: Now) -> Result<Outcome, Error> {
    let config = SessionConfig::default();
    let mut asking = Session::open(1, opener, config, now)?;
    let mut answering: Option<Session> = None;
    loop {
        match asking.poll_output() {
            SessionOutput::Send(bytes) => {
                let Ok(frame) = Frame::decode(&bytes, &config) else { continue };
                if answering.is_none() {
                    answering = Session::accept(&frame, 2, config, now)?;
                }
                if let Some(session) = &mut answering {
                    session.handle_frame(frame, answerer, now)?;
                }
            }
            SessionOutput::Done(finished) => return Ok(finished.outcome),
            SessionOutput::Wait(_) => {
                let mut progress = false;
                while let Some(SessionOutput::Send(bytes)) = answering.as_mut().map(Session::poll_output) {
                    let Ok(frame) = Frame::decode(&bytes, &config) else { continue };
                    asking.handle_frame(frame, opener, now)?;
                    progress = true;
                }
                if !progress {
                    // Nothing is lost on this link, so waiting longer would bring nothing.
                    asking.abort(PartialReason::TimedOut, now);
                }
            }
        }
    }
}
