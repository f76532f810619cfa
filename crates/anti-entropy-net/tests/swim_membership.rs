//! Membership over real sockets.
#![cfg(feature = "swim")]

use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy_net::swim::{ClusterKey, Event, Membership, SwimConfig, SwimTimings};

/// How long a test waits for what must happen; never reached when all is well.
const DEADLINE: Duration = Duration::from_secs(120);

fn config(name: &str, seeds: &[String]) -> SwimConfig {
    let transport = SocketAddr::from(([127, 0, 0, 1], 4_000));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let timings = SwimTimings {
        seed_retry_min: Duration::from_millis(50),
        seed_retry_max: Duration::from_millis(500),
        ..SwimTimings::default()
    };
    let config = SwimConfig::new(name.into(), listen, transport, ClusterKey::new([7; 32]));
    SwimConfig { seeds: seeds.to_vec(), timings, ..config }
}

async fn next(membership: &Membership) -> Option<Event> {
    tokio::time::timeout(DEADLINE, membership.next_event()).await.expect("it must not take that long")
}

#[tokio::test]
async fn nodes_find_each_other_by_a_name_and_learn_what_is_announced_before_anything_else() {
    let a = Membership::join(config("a", &[])).await.unwrap();
    a.announce(7, [1; 32]).unwrap();
    let seed = format!("localhost:{}", a.local_addr().port());
    let b = Membership::join(SwimConfig { zone: Some("north".into()), ..config("b", &[seed]) }).await.unwrap();
    b.announce(7, [2; 32]).unwrap();
    for (node, peer, zone, state) in [(&a, "b", Some("north"), [2; 32]), (&b, "a", None, [1; 32])] {
        let Some(Event::Up { member }) = next(node).await else { panic!("{peer} is not up") };
        assert_eq!((member.name.as_str(), member.zone.as_deref()), (peer, zone));
        assert_eq!(next(node).await, Some(Event::Announced { peer: peer.into(), space: 7, state }));
        assert_eq!(node.members(), [member]);
    }
    b.leave().await;
    loop {
        match next(&a).await {
            Some(Event::Announced { .. }) => {}
            event => break assert_eq!(event, Some(Event::Down { peer: "b".into() })),
        }
    }
    assert!(a.members().is_empty());
    while next(&b).await.is_some() {}
}
