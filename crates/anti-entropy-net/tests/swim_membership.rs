//! Membership over real sockets.
#![cfg(feature = "swim")]

use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy_net::swim::{ClusterKey, Event, JoinError, Membership, SwimConfig, SwimTimings};

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

#[tokio::test]
async fn strangers_are_refused_and_counted() {
    let a = Membership::join(config("a", &[])).await.unwrap();
    let seeds = [a.local_addr().to_string()];
    let stranger = SwimConfig { key: ClusterKey::new([8; 32]), ..config("b", &seeds) };
    let stranger = Membership::join(stranger).await.unwrap();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for garbage in [&[][..], &[1; 33], &[1; 34], &[9; 100], &[1; 1_233]] {
        socket.send_to(garbage, a.local_addr()).await.unwrap();
    }
    let counted = async {
        loop {
            let refused = a.stats().refused;
            if refused.length >= 3 && refused.other_version >= 1 && refused.not_opened >= 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, counted).await.unwrap();
    assert!(a.stats().last_refusal.is_some());
    assert!(a.members().is_empty() && stranger.members().is_empty());
}

#[tokio::test]
async fn what_the_system_does_not_send_is_lost_and_no_more() {
    // From a socket of IPv4 there is no way to an address of IPv6.
    let seeds = ["[::1]:9".to_owned()];
    let a = Membership::join(config("a", &seeds)).await.unwrap();
    let refused = async {
        while a.stats().send_errors < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.unwrap();
    let b = Membership::join(config("b", &[a.local_addr().to_string()])).await.unwrap();
    assert!(matches!(next(&b).await, Some(Event::Up { .. })));
}

#[tokio::test]
async fn a_wildcard_of_ipv6_takes_ipv4_too() {
    let any = SocketAddr::from(([0_u16; 8], 0));
    // A free port of both, as far as that can be known; a machine without IPv6 has nothing to show here.
    let Ok(probe) = std::net::UdpSocket::bind(any) else { return };
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let listen = SocketAddr::new(any.ip(), port);
    let advertise = Some(SocketAddr::from(([127, 0, 0, 1], port)));
    let a = Membership::join(SwimConfig { listen, advertise, ..config("a", &[]) }).await.unwrap();
    let b = Membership::join(config("b", &[format!("127.0.0.1:{port}")])).await.unwrap();
    for node in [&a, &b] {
        assert!(matches!(next(node).await, Some(Event::Up { .. })));
    }
}

#[tokio::test]
async fn a_node_that_crashes_is_missed_and_comes_back_under_its_name() {
    let fast = |config: SwimConfig| {
        let timings = SwimTimings { suspect_for: Duration::from_millis(500), ..config.timings.clone() };
        SwimConfig { timings, ..config }
    };
    let a = Membership::join(fast(config("a", &[]))).await.unwrap();
    let seeds = [a.local_addr().to_string()];
    let b = Membership::join(fast(config("b", &seeds))).await.unwrap();
    let Some(Event::Up { member: before }) = next(&a).await else { panic!("b is not up") };
    drop(b);
    assert_eq!(next(&a).await, Some(Event::Down { peer: "b".into() }));
    let _b = Membership::join(fast(config("b", &seeds))).await.unwrap();
    let Some(Event::Up { member: after }) = next(&a).await else { panic!("b is not up") };
    assert!(after.generation > before.generation && after.name == before.name);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    type Spoil = fn(&mut SwimConfig);
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    assert!(
        Membership::join(SwimConfig { listen: any, advertise: Some(([127, 0, 0, 1], 9).into()), ..config("a", &[]) })
            .await
            .is_ok()
    );
    let spoils: [(&str, Spoil); 34] = [
        ("name", |c| c.name = "".into()),
        ("name", |c| c.name = "n".repeat(256).as_str().into()),
        ("zone", |c| c.zone = Some(String::new())),
        ("zone", |c| c.zone = Some("z".repeat(33))),
        ("advertise", |c| c.listen = ([0, 0, 0, 0], 0).into()),
        ("advertise", |c| c.advertise = Some(([127, 0, 0, 1], 0).into())),
        ("seeds", |c| c.seeds = vec!["node-1".into()]),
        ("seeds", |c| c.seeds = vec!["node-1:0".into()]),
        ("seeds", |c| c.seeds = vec!["node-1:1".into(); 65]),
        ("transport", |c| c.transport = ([0, 0, 0, 0], 1).into()),
        ("transport", |c| c.transport.set_port(0)),
        ("probe_timeout", |c| c.timings.probe_timeout = Duration::ZERO),
        ("probe_timeout", |c| c.timings.probe_timeout = c.timings.probe_interval),
        ("suspect_for", |c| c.timings.suspect_for = Duration::ZERO),
        ("forget_down_after", |c| c.timings.forget_down_after = Duration::ZERO),
        ("look_for_down_interval", |c| c.timings.look_for_down_interval = Duration::ZERO),
        ("exchange_interval", |c| c.timings.exchange_interval = Duration::ZERO),
        ("gossip_interval", |c| c.timings.gossip_interval = Duration::ZERO),
        ("hello_retry", |c| c.timings.hello_retry = Duration::ZERO),
        ("seed_retry_min", |c| c.timings.seed_retry_min = Duration::ZERO),
        ("seed_retry_max", |c| c.timings.seed_retry_max = c.timings.seed_retry_min / 2),
        ("seed_interval", |c| c.timings.seed_interval = Duration::ZERO),
        ("resolve_timeout", |c| c.timings.resolve_timeout = Duration::ZERO),
        ("rejoin_max", |c| c.timings.rejoin_max = Duration::ZERO),
        // Times that would overflow when they are added to others.
        ("rejoin_max", |c| c.timings.rejoin_max = Duration::MAX),
        ("up_wait", |c| c.timings.up_wait = Duration::MAX),
        ("announce_refresh", |c| c.timings.announce_refresh = Duration::from_secs(366 * 24 * 60 * 60 + 1)),
        ("max_members", |c| c.limits.max_members = 0),
        ("max_sessions", |c| c.limits.max_sessions = c.limits.max_members - 1),
        ("max_pending_hellos", |c| c.limits.max_pending_hellos = 0),
        ("max_waiting_datagrams", |c| c.limits.max_waiting_datagrams = 0),
        ("max_seed_addresses", |c| c.limits.max_seed_addresses = 0),
        ("max_replies_per_second", |c| c.limits.max_replies_per_second = 0),
        ("max_notices_per_second", |c| c.limits.max_notices_per_second = 0),
    ];
    for (name, spoil) in spoils {
        let mut config = config("a", &[]);
        spoil(&mut config);
        let refused = Membership::join(config).await;
        assert!(matches!(refused, Err(JoinError::Setting { setting, .. }) if setting == name), "{name}: {refused:?}");
    }
    let taken = Membership::join(config("a", &[])).await.unwrap();
    let again = Membership::join(SwimConfig { listen: taken.local_addr(), ..config("b", &[]) }).await;
    assert!(matches!(again, Err(JoinError::Listen { .. })));
}
