//! Membership over real sockets.
#![cfg(feature = "swim")]

use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::engine::StateDigest;
use anti_entropy_net::swim::{ClusterKey, JoinError, Membership, MembershipEvent, SwimConfig, SwimTimings};

/// How long a test waits for what must happen; never reached when all is well.
const DEADLINE: Duration = Duration::from_secs(120);

fn config(name: &str, seeds: &[String]) -> SwimConfig {
    let transport = SocketAddr::from(([127, 0, 0, 1], 4_000));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let timings = SwimTimings::default().with(|timings| {
        timings.seed_retry_min = Duration::from_millis(50);
        timings.seed_retry_max = Duration::from_millis(500);
    });
    let config = SwimConfig::new(name.into(), listen, transport, ClusterKey::new([7; 32]));
    config.with(|config| {
        config.seeds = seeds.to_vec();
        config.timings = timings;
    })
}

async fn next(membership: &Membership) -> Option<MembershipEvent> {
    tokio::time::timeout(DEADLINE, membership.next_event()).await.expect("it must not take that long")
}

#[tokio::test]
async fn nodes_find_each_other_by_a_name_and_learn_what_is_announced_before_anything_else() {
    let a = Membership::join(config("a", &[])).await.unwrap();
    let states = [1, 2].map(|byte| StateDigest::from_bytes([byte; 32]));
    a.announce(7, states[0]).unwrap();
    let seed = format!("localhost:{}", a.local_addr().port());
    let b = Membership::join(config("b", &[seed]).with(|c| c.zone = Some("north".into()))).await.unwrap();
    b.announce(7, states[1]).unwrap();
    for (node, peer, zone, state) in [(&a, "b", Some("north"), states[1]), (&b, "a", None, states[0])] {
        let Some(MembershipEvent::Up { member }) = next(node).await else { panic!("{peer} is not up") };
        assert_eq!((member.name.as_str(), member.zone.as_deref()), (peer, zone));
        assert_eq!(next(node).await, Some(MembershipEvent::Announced { peer: peer.into(), space: 7, state }));
        assert_eq!(node.members(), [member]);
    }
    b.leave().await;
    loop {
        match next(&a).await {
            Some(MembershipEvent::Announced { .. }) => {}
            event => break assert_eq!(event, Some(MembershipEvent::Down { peer: "b".into() })),
        }
    }
    assert!(a.members().is_empty());
    while next(&b).await.is_some() {}
}

#[tokio::test]
async fn strangers_are_refused_and_counted() {
    let a = Membership::join(config("a", &[])).await.unwrap();
    let seeds = [a.local_addr().to_string()];
    let stranger = config("b", &seeds).with(|c| c.key = ClusterKey::new([8; 32]));
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
    assert!(matches!(next(&b).await, Some(MembershipEvent::Up { .. })));
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
    let a = Membership::join(config("a", &[]).with(|c| (c.listen, c.advertise) = (listen, advertise))).await.unwrap();
    let b = Membership::join(config("b", &[format!("127.0.0.1:{port}")])).await.unwrap();
    for node in [&a, &b] {
        assert!(matches!(next(node).await, Some(MembershipEvent::Up { .. })));
    }
}

#[tokio::test]
async fn a_node_that_crashes_is_missed_and_comes_back_under_its_name() {
    let fast = |config: SwimConfig| {
        let timings = config.timings.clone().with(|timings| timings.suspect_for = Duration::from_millis(500));
        config.with(|config| config.timings = timings)
    };
    let a = Membership::join(fast(config("a", &[]))).await.unwrap();
    let seeds = [a.local_addr().to_string()];
    let b = Membership::join(fast(config("b", &seeds))).await.unwrap();
    let Some(MembershipEvent::Up { member: before }) = next(&a).await else { panic!("b is not up") };
    drop(b);
    assert_eq!(next(&a).await, Some(MembershipEvent::Down { peer: "b".into() }));
    let _b = Membership::join(fast(config("b", &seeds))).await.unwrap();
    let Some(MembershipEvent::Up { member: after }) = next(&a).await else { panic!("b is not up") };
    assert!(after.generation > before.generation && after.name == before.name);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    type Spoil = fn(&mut SwimConfig);
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    assert!(
        Membership::join(config("a", &[]).with(|c| (c.listen, c.advertise) = (any, Some(([127, 0, 0, 1], 9).into()))))
            .await
            .is_ok()
    );
    let spoils: [(&str, Spoil); 40] = [
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
        ("advertise", |c| c.advertise = Some(([0, 0, 0, 0], 9).into())),
        ("timings.probe_interval", |c| c.timings.probe_interval = Duration::ZERO),
        ("timings.probe_timeout", |c| c.timings.probe_timeout = Duration::ZERO),
        ("timings.probe_timeout", |c| c.timings.probe_timeout = c.timings.probe_interval),
        ("timings.suspect_for", |c| c.timings.suspect_for = Duration::ZERO),
        ("timings.forget_down_after", |c| c.timings.forget_down_after = Duration::ZERO),
        ("timings.look_for_down_interval", |c| c.timings.look_for_down_interval = Duration::ZERO),
        ("timings.exchange_interval", |c| c.timings.exchange_interval = Duration::ZERO),
        ("timings.gossip_interval", |c| c.timings.gossip_interval = Duration::ZERO),
        ("timings.hello_retry", |c| c.timings.hello_retry = Duration::ZERO),
        ("timings.seed_retry_min", |c| c.timings.seed_retry_min = Duration::ZERO),
        ("timings.seed_retry_max", |c| c.timings.seed_retry_max = c.timings.seed_retry_min / 2),
        ("timings.seed_interval", |c| c.timings.seed_interval = Duration::ZERO),
        ("timings.resolve_timeout", |c| c.timings.resolve_timeout = Duration::ZERO),
        ("timings.rejoin_max", |c| c.timings.rejoin_max = Duration::ZERO),
        ("timings.rejoin_max", |c| c.timings.rejoin_max = c.timings.probe_interval / 2),
        // Times that would overflow when they are added to others.
        ("timings.rejoin_max", |c| c.timings.rejoin_max = Duration::MAX),
        ("timings.up_wait", |c| c.timings.up_wait = Duration::MAX),
        ("timings.announce_refresh", |c| c.timings.announce_refresh = Duration::from_secs(366 * 24 * 60 * 60 + 1)),
        ("limits.max_members", |c| c.limits.max_members = 0),
        ("limits.max_sessions", |c| c.limits.max_sessions = c.limits.max_members - 1),
        ("limits.max_pending_hellos", |c| c.limits.max_pending_hellos = 0),
        ("limits.max_waiting_datagrams", |c| c.limits.max_waiting_datagrams = 0),
        ("limits.max_seed_addresses", |c| c.limits.max_seed_addresses = 0),
        ("limits.max_replies_per_second", |c| c.limits.max_replies_per_second = 0),
        ("limits.max_notices_per_second", |c| c.limits.max_notices_per_second = 0),
        ("limits.max_replies_per_second", |c| c.limits.max_replies_per_second = 1_000_001),
        ("limits.max_notices_per_second", |c| c.limits.max_notices_per_second = 1_000_001),
        ("limits.max_warnings_per_second", |c| c.limits.max_warnings_per_second = 1_000_001),
    ];
    for (name, spoil) in spoils {
        let mut config = config("a", &[]);
        spoil(&mut config);
        let refused = Membership::join(config).await;
        assert!(matches!(&refused, Err(JoinError::Config(error)) if error.field == name), "{name}: {refused:?}");
    }
    let bounds: [Spoil; 6] = [
        |c| (c.timings.up_wait, c.timings.announce_refresh) = (Duration::ZERO, Duration::ZERO),
        |c| c.timings.rejoin_max = c.timings.probe_interval,
        |c| c.timings.forget_down_after = Duration::from_secs(366 * 24 * 60 * 60),
        |c| c.limits.max_sessions = c.limits.max_members,
        |c| (c.limits.max_spaces, c.limits.max_warnings_per_second) = (0, 0),
        |c| c.limits.max_replies_per_second = 1_000_000,
    ];
    for (at, set) in bounds.into_iter().enumerate() {
        assert_eq!(config("a", &[]).with(set).validate(), Ok(()), "{at}");
    }
    let taken = Membership::join(config("a", &[])).await.unwrap();
    let again = Membership::join(config("b", &[]).with(|c| c.listen = taken.local_addr())).await;
    assert!(matches!(again, Err(JoinError::Listen { .. })));
}

/// An address with a port that is free now: it is advertised before it is listened on.
fn free_at(address: SocketAddr) -> SocketAddr {
    std::net::UdpSocket::bind(address).and_then(|socket| socket.local_addr()).expect("a local address")
}

/// Nodes at these addresses find each other, each by what the other listens on.
async fn meet(listens: [SocketAddr; 2], advertise: impl Fn(SocketAddr) -> SocketAddr) -> [Membership; 2] {
    let transport = |config: &mut SwimConfig| config.transport = advertise(config.transport);
    let listening = |listen| {
        move |config: &mut SwimConfig| {
            config.listen = listen;
            config.timings.probe_interval = Duration::from_millis(200);
            config.timings.probe_timeout = Duration::from_millis(50);
        }
    };
    let free = free_at(listens[0]);
    let first = config("a", &[]).with(listening(free)).with(transport);
    let a = Membership::join(first.with(|c| c.advertise = Some(advertise(free)))).await.expect("the port is free");
    let free = free_at(listens[1]);
    let second = config("b", &[advertise(a.local_addr()).to_string()]).with(listening(free)).with(transport);
    let b = Membership::join(second.with(|c| c.advertise = Some(advertise(free)))).await.expect("the port is free");
    for node in [&a, &b] {
        assert!(matches!(next(node).await, Some(MembershipEvent::Up { .. })));
    }
    [a, b]
}

#[tokio::test]
async fn mapped_addresses_are_advertised_and_met_as_ipv4_addresses() {
    let v4 = SocketAddr::from(([127, 0, 0, 1], 0));
    let wildcard = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
    let mapped =
        |address: SocketAddr| SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), address.port()));
    for listens in [[v4, v4], [v4, wildcard], [wildcard, v4], [wildcard, wildcard]] {
        for node in meet(listens, mapped).await {
            let member = node.members().remove(0);
            assert!(member.address.is_ipv4() && member.transport.is_ipv4(), "{member:?}");
            assert_eq!(member.transport, SocketAddr::from(([127, 0, 0, 1], 4_000)));
        }
    }
}

/// On a host with a link-local address; most have one, and containers may have none.
#[tokio::test]
async fn link_local_addresses_keep_their_scope() {
    let listed = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let found = listed.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(|field| u128::from_str_radix(field, 16).ok());
        let (ip, scope) = (std::net::Ipv6Addr::from(fields.next()??), u32::try_from(fields.next()??).ok()?);
        let address = SocketAddr::from(std::net::SocketAddrV6::new(ip, 0, 0, scope));
        (ip.is_unicast_link_local() && std::net::UdpSocket::bind(address).is_ok()).then_some(address)
    });
    let Some(local) = found else { return };
    let at = |address: SocketAddr| {
        let mut local = local;
        local.set_port(address.port());
        local
    };
    for node in meet([local, local], at).await {
        let member = node.members().remove(0);
        assert_eq!((member.address.ip(), at(member.address)), (local.ip(), member.address), "the scope is lost");
        assert_eq!(member.transport, at(member.transport));
        assert_eq!(node.stats().send_errors, 0);
    }
}

#[tokio::test]
async fn addresses_that_no_peer_reaches_are_refused_by_name() {
    type Spoil = fn(&mut SwimConfig);
    let spoils: [(&str, Spoil); 7] = [
        ("advertise", |c| c.advertise = Some("[fe80::1]:7946".parse().unwrap())),
        ("advertise", |c| c.advertise = Some("[::ffff:0.0.0.0]:7946".parse().unwrap())),
        ("advertise", |c| c.advertise = Some("224.0.0.1:7946".parse().unwrap())),
        ("transport", |c| c.transport = "[fe80::1]:7001".parse().unwrap()),
        ("transport", |c| c.transport = "255.255.255.255:7001".parse().unwrap()),
        ("listen", |c| c.listen = "[fe80::1]:7946".parse().unwrap()),
        ("transport", |c| {
            c.advertise = Some("[fe80::1%2]:7946".parse().unwrap());
            c.transport = "[fe80::1%3]:7001".parse().unwrap();
        }),
    ];
    for (field, spoil) in spoils {
        let Err(JoinError::Config(error)) = Membership::join(config("a", &[]).with(spoil)).await else {
            panic!("{field} is not refused")
        };
        assert_eq!(error.field, field, "{error}");
    }
}
