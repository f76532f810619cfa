//! Trailers behind engram's messages.

use std::sync::mpsc;
use std::time::Duration;

use anti_entropy_engram::swim::Trailer;
use engram_core::cluster::{MembershipUpdate, NodeState, SwimMessage, SwimTrailers as _};

use crate::nodes::{Node, consolidate, pattern, ping_until_equal, snapshot};

/// Alice's engines do not get on until the pings are sent and answered; a ping that waited for them would find that they
/// have given up waiting for it.
#[tokio::test]
async fn a_busy_engine_does_not_delay_a_ping() {
    let (alice, bob) = (Node::start("alice-busy", None).await, Node::start("bob-busy", None).await);
    alice.meet(&bob).await;
    ping_until_equal(&alice, &bob).await;
    alice.ping(&bob);
    bob.ping(&alice);
    let held = alice.spaces.digest(&"bob-busy".into());
    assert!(held.is_some());

    let (begun, has_begun) = mpsc::channel();
    let mut busy = Vec::new();
    for replica in [alice.default(), alice.dreams()] {
        let ((release, released), (ended, end)) = (mpsc::channel::<()>(), mpsc::channel());
        let begun = begun.clone();
        let work = move || {
            begun.send(()).unwrap();
            ended.send(released.recv_timeout(Duration::from_secs(60)).is_ok()).unwrap();
        };
        replica.gossiper.post(move |_, _| work()).unwrap();
        has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
        busy.push((release, end));
    }

    consolidate(bob.default(), &snapshot(&[pattern("pattern_1", 0.5)]), &[]).await;
    let mut datagram = Vec::new();
    alice.trailers.append(&mut datagram, bob.info.swim_addr);
    assert_eq!(Trailer::read(&datagram).unwrap().unwrap().shared, held);
    let received = || alice.trailers.stats().received;
    let before = received();
    bob.ping(&alice);
    assert_eq!(received(), before + 1);

    for (release, end) in busy {
        assert!(release.send(()).is_ok(), "the engine was waited for");
        assert!(end.recv_timeout(Duration::from_secs(60)).unwrap(), "it went on by itself");
    }
    ping_until_equal(&alice, &bob).await;
}

/// As bincode 1.3's `deserialize`, by which engram reads a datagram, this decoder takes a message from the front and ignores
/// what follows.
#[tokio::test]
async fn a_message_is_decoded_with_a_trailer_behind_it() {
    let node = Node::start("alice-decoded", None).await;
    let rumor = MembershipUpdate { node: node.info.clone(), state: NodeState::Suspect, incarnation: 7 };
    let from = node.info.clone();
    let messages = [
        SwimMessage::Ping { from: from.clone(), incarnation: 1, rumors: vec![rumor.clone(); 3] },
        SwimMessage::Ack { from: from.clone(), incarnation: 2, rumors: Vec::new() },
        SwimMessage::PingReq { from, target: node.info.clone(), incarnation: 3, rumors: Vec::new() },
        SwimMessage::Gossip { rumors: vec![rumor] },
    ];
    for message in messages {
        let mut datagram = postcard::to_allocvec(&message).unwrap();
        let length = datagram.len();
        node.trailers.append(&mut datagram, node.info.swim_addr);
        assert!(datagram.len() > length);
        let (decoded, behind) = postcard::take_from_bytes::<SwimMessage>(&datagram).unwrap();
        assert_eq!(decoded, message);
        assert_eq!(behind, &datagram[length..]);
        assert_eq!(Trailer::read(&datagram).unwrap().unwrap().node.as_str(), "alice-decoded");
    }
}
