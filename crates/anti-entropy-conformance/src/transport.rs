//! The laws of [`Transport`], checked between two transports of which each knows the other.

/// The laws by name, to compare with [`Violation::law`].
pub mod law;
mod ledger;
mod link;

use std::boxed::Box;
use std::collections::HashSet;
use std::format;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use std::vec::Vec;

use futures::FutureExt;
use futures::future::{self, BoxFuture, Either};

use self::link::Link;
use super::Violation;
use anti_entropy::transport::SendError;
use anti_entropy::{PeerId, Transport};

/// How long the kit waits for what must happen. Long, since only a broken transport makes it wait to the end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Frames longer than this are not tried, whatever the transport carries.
const LONGEST_TRIED_BYTES: usize = 16 << 20;
/// The shortest limit of frames that the trait allows.
const LEAST_MAX_FRAME_BYTES: usize = 1_024;
/// How many frames are sent while receive futures are being dropped.
const CANCELLED_FRAMES: usize = 32;
/// How much is sent to a receiver that takes nothing. More than any bounded queue, with what an operating system may
/// hold of a connection on top.
const FLOOD_BYTES: usize = 128 << 20;
/// Length of the frames in that flood.
const FLOOD_FRAME_BYTES: usize = 64 << 10;
/// How many frames a transport that is being closed may still hand over.
const LAST_FRAMES: usize = 1 << 17;

/// Checks the laws of [`Transport`] between `a`, named `a_name`, and `b`, named `b_name`. Each must know the other's
/// address; connecting may still be under way.
///
/// `close_b` closes `b`, and is awaited once, at the end. `sleep` is the timer of the runtime: nothing else of a
/// runtime is used. Between the two there must be no faults: on a link that loses frames, a transport that loses them
/// cannot be told. A transport whose `send` blocks its thread, instead of waiting as a future does, makes the check
/// hang. Against a stalled receiver up to 128 MiB are sent, of which a transport with bounded queues keeps a part.
///
/// The laws, by the names in [`law`]:
///
/// - [`law::FRAME_LIMIT`]: `max_frame_bytes` is at least 1,024 and stays what it is.
/// - [`law::WHOLE_FRAMES`]: what arrives was sent, byte for byte, whatever its length from 0 to the limit.
/// - [`law::SENDER_NAME`]: it comes with its sender's name.
/// - [`law::DELIVERY`]: on a link without faults, frames arrive.
/// - [`law::TOO_LONG`]: a frame above the limit is refused with [`SendError::TooLong`].
/// - [`law::UNKNOWN_PEER`]: a frame to a peer that the transport does not know is refused with
///   [`SendError::UnknownPeer`].
/// - [`law::ERROR_MEANS_LOST`]: a frame whose `send` failed does not arrive.
/// - [`law::CANCELLATION`]: a `receive` dropped before it was ready has consumed no frame.
/// - [`law::SEND_NEVER_WAITS`]: `send` completes although the receiver takes nothing.
/// - [`law::BOUNDED_QUEUES`]: what it queues meanwhile is bounded.
/// - [`law::CLOSED`]: once closed, `receive` returns `None`, also one that was waiting, and `send` fails.
///
/// ```
/// use anti_entropy_conformance::check_transport;
/// use anti_entropy::{MemoryNetwork, PeerId};
/// use futures::FutureExt;
///
/// let network = MemoryNetwork::new(1);
/// let (a_name, b_name) = (PeerId::from("a"), PeerId::from("b"));
/// let (a, b) = (network.join(a_name.clone()), network.join(b_name.clone()));
/// // With tokio: `|duration| tokio::time::sleep(duration).boxed()`.
/// let sleep = |duration| {
///     let (done, slept) = futures::channel::oneshot::channel();
///     std::thread::spawn(move || {
///         std::thread::sleep(duration);
///         done.send(())
///     });
///     slept.map(|_| ()).boxed()
/// };
/// let checked = check_transport(&a, a_name, &b, b_name, async { b.close() }, sleep);
/// futures::executor::block_on(checked).unwrap();
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub async fn check_transport(
    a: &dyn Transport,
    a_name: PeerId,
    b: &dyn Transport,
    b_name: PeerId,
    close_b: impl Future<Output = ()>,
    sleep: impl Fn(Duration) -> BoxFuture<'static, ()>,
) -> Result<(), Violation> {
    let sleep: &dyn Fn(Duration) -> BoxFuture<'static, ()> = &sleep;
    let mut there = Link::new((a, a_name.clone()), (b, b_name.clone()), sleep);
    let mut back = Link::new((b, b_name), (a, a_name), sleep);
    for link in [&mut there, &mut back] {
        check_frames(link).await?;
        check_too_long(link).await?;
        check_unknown_peer(link).await?;
        check_cancellation(link).await?;
    }
    check_stalled_receiver(&mut there).await?;
    // What was left in the queues must not hold up the way back either.
    back.deliver(64).await?;
    check_frame_limit(&there)?;
    check_frame_limit(&back)?;
    check_closing(&mut there, close_b).await
}

/// Called twice: the limit is compared with what it was when the check began.
fn check_frame_limit(link: &Link<'_>) -> Result<(), Violation> {
    let (before, max) = (link.max_frame_bytes, link.from.max_frame_bytes());
    if max < LEAST_MAX_FRAME_BYTES {
        return Err(Violation::new(law::FRAME_LIMIT, format!("max_frame_bytes is {max}, and must be at least 1,024")));
    }
    if max != before {
        return Err(Violation::new(law::FRAME_LIMIT, format!("max_frame_bytes was {before} and is now {max}")));
    }
    Ok(())
}

/// Lengths at which length prefixes and buffers change over. Short frames cannot all differ, so they come last: a
/// longer one that was cut short is then not taken for one of them.
async fn check_frames(link: &mut Link<'_>) -> Result<(), Violation> {
    check_frame_limit(link)?;
    let longest = link.max_frame_bytes.min(LONGEST_TRIED_BYTES);
    for bytes in [longest, longest - 1, 65_536, 65_535, 1_024, 1_023, 256, 255, 128, 127, 2, 1, 0] {
        if bytes <= longest {
            link.deliver(bytes).await?;
        }
    }
    Ok(())
}

async fn check_too_long(link: &mut Link<'_>) -> Result<(), Violation> {
    if link.max_frame_bytes > LONGEST_TRIED_BYTES {
        return Ok(());
    }
    let (_, sent) = link.send(link.max_frame_bytes + 1).await?;
    if !matches!(sent, Err(SendError::TooLong { .. })) {
        let detail = format!("sending one byte more than max_frame_bytes gave {sent:?}, and must give TooLong");
        return Err(Violation::new(law::TOO_LONG, detail));
    }
    // If it was sent in spite of the error, it arrives before this one does.
    link.deliver(64).await
}

async fn check_unknown_peer(link: &mut Link<'_>) -> Result<(), Violation> {
    let nobody = PeerId::from("a peer that no transport knows");
    let sending = AssertUnwindSafe(async { link.from.send(&nobody, b"for nobody".to_vec()).await }).catch_unwind();
    let detail = match link.within(PATIENCE, sending.boxed()).await {
        Some(Ok(Err(SendError::UnknownPeer(peer)))) if peer == nobody => return link.deliver(64).await,
        Some(Ok(sent)) => format!("sending to an unknown peer gave {sent:?}, and must give UnknownPeer with its name"),
        Some(Err(_)) => "sending to an unknown peer panicked".into(),
        None => "sending to an unknown peer never completed".into(),
    };
    Err(Violation::new(law::UNKNOWN_PEER, detail))
}

/// Frames are sent while receive futures are polled and dropped: some at once, some after a while.
async fn check_cancellation(link: &mut Link<'_>) -> Result<(), Violation> {
    let mut awaited = HashSet::new();
    for round in 0..CANCELLED_FRAMES {
        let (key, sent) = link.send(64 + round).await?;
        if sent.is_ok() {
            awaited.insert(key);
        }
        for attempt in 0..4 {
            let received = match attempt {
                0 | 2 => link.to.receive().now_or_never(),
                _ => link.within(Duration::from_millis(2), link.to.receive()).await,
            };
            if let Some(received) = received {
                awaited.remove(&link.check(received, law::CANCELLATION)?);
            }
        }
    }
    while !awaited.is_empty() {
        let Some(received) = link.within(PATIENCE, link.to.receive()).await else {
            let lost = awaited.len();
            let detail = format!("{lost} of {CANCELLED_FRAMES} frames vanished while pending receives were dropped");
            return Err(Violation::new(law::CANCELLATION, detail));
        };
        awaited.remove(&link.check(received, law::CANCELLATION)?);
    }
    Ok(())
}

/// Sends to a receiver that takes nothing, until a frame is refused or far too much has been taken in.
async fn check_stalled_receiver(link: &mut Link<'_>) -> Result<(), Violation> {
    let bytes = link.max_frame_bytes.min(FLOOD_FRAME_BYTES);
    let mut queued = HashSet::new();
    for _ in 0..FLOOD_BYTES / bytes {
        let (key, sent) = link.send(bytes).await?;
        if sent.is_err() {
            return link.deliver(64).await;
        }
        queued.insert(key);
    }
    // All were accepted. That is right if many were dropped on the way, as datagrams are.
    while let Some(received) = link.within(PATIENCE / 10, link.to.receive()).await {
        queued.remove(&link.check(received, law::BOUNDED_QUEUES)?);
    }
    if queued.is_empty() {
        let detail = format!("{FLOOD_BYTES} bytes of frames were queued for a receiver that took none");
        return Err(Violation::new(law::BOUNDED_QUEUES, detail));
    }
    link.deliver(64).await
}

async fn check_closing(link: &mut Link<'_>, close_b: impl Future<Output = ()>) -> Result<(), Violation> {
    let b = link.to;
    let mut waiting = b.receive();
    // Polled before the closing starts, so that it is one that waits.
    let first = (&mut waiting).now_or_never();
    let closing = Box::pin(close_b);
    if link.within(PATIENCE, closing).await.is_none() {
        return Err(Violation::new(law::CLOSED, "closing never completed"));
    }
    let mut last = match first {
        Some(received) => received,
        None => received_at_closing(link, waiting).await?,
    };
    for _ in 0..LAST_FRAMES {
        if last.is_none() {
            return check_closed(link).await;
        }
        link.check(last, law::CLOSED)?;
        last = received_at_closing(link, b.receive()).await?;
    }
    Err(Violation::new(law::CLOSED, "a closed transport goes on receiving"))
}

async fn received_at_closing(
    link: &Link<'_>,
    receiving: BoxFuture<'_, Option<(PeerId, Vec<u8>)>>,
) -> Result<Option<(PeerId, Vec<u8>)>, Violation> {
    let detail = "receive on a closed transport goes on waiting, and must return None";
    link.within(PATIENCE, receiving).await.ok_or_else(|| Violation::new(law::CLOSED, detail))
}

async fn check_closed(link: &mut Link<'_>) -> Result<(), Violation> {
    if let Some(received) = received_at_closing(link, link.to.receive()).await? {
        let detail = format!("receive returned None and then {} bytes from {}", received.1.len(), received.0);
        return Err(Violation::new(law::CLOSED, detail));
    }
    match link.within(PATIENCE, link.to.send(&link.from_name, b"too late".to_vec())).await {
        Some(Err(_)) => {}
        Some(Ok(())) => return Err(Violation::new(law::CLOSED, "a closed transport accepts frames to send")),
        None => return Err(Violation::new(law::CLOSED, "sending on a closed transport never completes")),
    }
    // Towards a peer that has gone a send may fail or not, but it must not wait.
    link.send(64).await.map(|_| ())
}

/// The result of a future, or `None` if it takes longer than this.
async fn within<T>(
    sleep: &dyn Fn(Duration) -> BoxFuture<'static, ()>,
    limit: Duration,
    mut pending: impl Future<Output = T> + Unpin,
) -> Option<T> {
    // Most are ready at once, and need no timer.
    if let Some(ready) = (&mut pending).now_or_never() {
        return Some(ready);
    }
    match future::select(pending, sleep(limit)).await {
        Either::Left((ready, _)) => Some(ready),
        Either::Right(_) => None,
    }
}
