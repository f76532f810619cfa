//! The transport kit: the in-memory transport passes, and transports broken on purpose fail in the law they break.

use std::collections::VecDeque;
use std::future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use anti_entropy::transport::{Channels, ChannelsConfig, MemoryTransport, SendError};
use anti_entropy::{MemoryNetwork, PeerId, Transport};
use anti_entropy_conformance::transport::law;
use anti_entropy_conformance::{Violation, check_transport};
use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt};

/// A timer without a runtime, that many times faster than asked.
fn timer(speed: u32) -> impl Fn(Duration) -> BoxFuture<'static, ()> {
    move |duration| {
        let (done, slept) = futures::channel::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(duration / speed);
            done.send(())
        });
        slept.map(|_| ()).boxed()
    }
}

#[test]
fn the_memory_transport_conforms() {
    let network = MemoryNetwork::new(1);
    let (a_name, b_name) = (PeerId::from("a"), PeerId::from("b"));
    let (a, b) = (network.join(a_name.clone()), network.join(b_name.clone()));
    block_on(check_transport(&a, a_name, &b, b_name, async { b.close() }, timer(1))).unwrap();
}

#[test]
fn a_channel_conforms_too() {
    let network = MemoryNetwork::new(1);
    let join = |name: &str| {
        let transport = Arc::new(network.join(name.into()));
        let (channels, carry) = Channels::new(Arc::clone(&transport), ChannelsConfig::default()).unwrap();
        std::thread::spawn(|| block_on(carry));
        (transport, channels.open(7).unwrap())
    };
    let ((_, a), (transport, b)) = (join("a"), join("b"));
    block_on(check_transport(&a, "a".into(), &b, "b".into(), async { transport.close() }, timer(1))).unwrap();
}

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    ShortFrameLimit,
    FrameLimitChanges,
    LastByteLost,
    FramesOfTwoJoined,
    ReceiverNamedAsSender,
    NothingArrives,
    EmptyFramesLost,
    TooLongAccepted,
    TooLongIsQueueFull,
    UnknownPeerIgnored,
    UnknownPeerPanics,
    ErrorsThoughSent,
    ReceiveLosesWhenDropped,
    SendWaitsForRoom,
    QueueUnbounded,
    CloseIgnored,
    SendsWhenClosed,
    ReceivesWhenClosed,
}

/// A memory transport with one fault.
struct Broken {
    inner: MemoryTransport,
    fault: Fault,
    calls: AtomicUsize,
    /// Where an unbounded queue keeps what the network refuses; shared by both ends.
    spill: Arc<Spill>,
}

type Spill = Mutex<VecDeque<(PeerId, Vec<u8>)>>;

impl Broken {
    fn count(&self) -> usize {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn spill(&self) -> MutexGuard<'_, VecDeque<(PeerId, Vec<u8>)>> {
        self.spill.lock().expect("nothing panics while holding it")
    }

    async fn send_despite_full_queue(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        match self.inner.send(to, frame.clone()).await {
            Err(SendError::QueueFull(_)) if self.fault == Fault::QueueUnbounded => {
                self.spill().push_back((self.inner.name().clone(), frame));
                Ok(())
            }
            Err(SendError::QueueFull(_)) if self.fault == Fault::SendWaitsForRoom => future::pending().await,
            sent => sent,
        }
    }
}

#[async_trait]
impl Transport for Broken {
    async fn send(&self, to: &PeerId, mut frame: Vec<u8>) -> Result<(), SendError> {
        let longest = frame.len() > MemoryNetwork::MAX_FRAME_BYTES;
        match self.fault {
            Fault::LastByteLost => drop(frame.pop()),
            Fault::FramesOfTwoJoined if frame.len() == 256 => frame.extend_from_within(..),
            Fault::NothingArrives => return Ok(()),
            Fault::EmptyFramesLost if frame.is_empty() => return Ok(()),
            Fault::TooLongAccepted if longest => return Ok(()),
            Fault::TooLongIsQueueFull if longest => return Err(SendError::QueueFull(to.clone())),
            Fault::UnknownPeerIgnored => {
                return self.send_despite_full_queue(to, frame).await.or_else(|error| match error {
                    SendError::UnknownPeer(_) => Ok(()),
                    other => Err(other),
                });
            }
            Fault::UnknownPeerPanics => {
                let sent = self.inner.send(to, frame).await;
                assert!(!matches!(sent, Err(SendError::UnknownPeer(_))), "as the test wants it");
                return sent;
            }
            Fault::ErrorsThoughSent if self.count().is_multiple_of(4) => {
                self.inner.send(to, frame).await?;
                return Err(SendError::NotConnected(to.clone()));
            }
            Fault::SendsWhenClosed => {
                return self.inner.send(to, frame).await.or_else(|error| match error {
                    SendError::Closed => Ok(()),
                    other => Err(other),
                });
            }
            _ => {}
        }
        self.send_despite_full_queue(to, frame).await
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        let spilled = self.spill().pop_front();
        if let Some((from, frame)) = spilled {
            if from != *self.inner.name() {
                return Some((from, frame));
            }
            self.spill().push_front((from, frame));
        }
        let received = self.inner.receive().await;
        match self.fault {
            Fault::ReceiverNamedAsSender => received.map(|(_, frame)| (self.inner.name().clone(), frame)),
            Fault::ReceiveLosesWhenDropped => {
                yield_once().await;
                received
            }
            Fault::CloseIgnored if received.is_none() => future::pending().await,
            Fault::ReceivesWhenClosed if received.is_none() => Some(("a".into(), Vec::new())),
            _ => received,
        }
    }

    fn max_frame_bytes(&self) -> usize {
        match self.fault {
            Fault::ShortFrameLimit => 512,
            Fault::FrameLimitChanges if self.count() > 2 => 2_048,
            _ => MemoryNetwork::MAX_FRAME_BYTES,
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn check(fault: Fault) -> Result<(), Violation> {
    let network = MemoryNetwork::new(1);
    let spill = Arc::new(Mutex::new(VecDeque::new()));
    let [a, b] = ["a", "b"].map(|name| Broken {
        inner: network.join(name.into()),
        fault,
        calls: AtomicUsize::new(0),
        spill: Arc::clone(&spill),
    });
    let close_b = async {
        b.inner.close();
    };
    block_on(check_transport(&a, "a".into(), &b, "b".into(), close_b, timer(20)))
}

#[test]
fn broken_transports_fail_in_the_law_they_break() {
    assert_eq!(check(Fault::None), Ok(()), "the wrapper itself conforms");
    let cases = [
        (Fault::ShortFrameLimit, law::FRAME_LIMIT),
        (Fault::FrameLimitChanges, law::FRAME_LIMIT),
        (Fault::LastByteLost, law::WHOLE_FRAMES),
        (Fault::FramesOfTwoJoined, law::WHOLE_FRAMES),
        (Fault::ReceiverNamedAsSender, law::SENDER_NAME),
        (Fault::NothingArrives, law::DELIVERY),
        (Fault::EmptyFramesLost, law::DELIVERY),
        (Fault::TooLongAccepted, law::TOO_LONG),
        (Fault::TooLongIsQueueFull, law::TOO_LONG),
        (Fault::UnknownPeerIgnored, law::UNKNOWN_PEER),
        (Fault::UnknownPeerPanics, law::UNKNOWN_PEER),
        (Fault::ErrorsThoughSent, law::ERROR_MEANS_LOST),
        (Fault::ReceiveLosesWhenDropped, law::CANCELLATION),
        (Fault::SendWaitsForRoom, law::SEND_NEVER_WAITS),
        (Fault::QueueUnbounded, law::BOUNDED_QUEUES),
        (Fault::CloseIgnored, law::CLOSED),
        (Fault::SendsWhenClosed, law::CLOSED),
        (Fault::ReceivesWhenClosed, law::CLOSED),
    ];
    // Most of a check that fails is waiting in vain, so they wait together.
    let checks = cases.map(|(fault, law)| (fault, law, std::thread::spawn(move || check(fault))));
    for (fault, law, checked) in checks {
        let violation = checked.join().unwrap().expect_err(&format!("{fault:?} must be found"));
        assert_eq!(violation.law, law, "{fault:?}: {violation}");
    }
}
