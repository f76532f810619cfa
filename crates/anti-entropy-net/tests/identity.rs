//! Who is believed, over both transports.

mod common;

use std::collections::BTreeMap;

use anti_entropy_net::{
    BindError, ConnectionRefusalReason, Pem, QuicConfig, QuicTransport, TcpTransport, TestAuthority, TestCertificate,
    TlsConfig, TlsError, Trust,
};
use common::{Node, authority, bind, bind_quic, config, deliver, in_time, loopback, nowhere, peer, raw, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

async fn quic_node(name: &str, tls: TlsConfig) -> QuicTransport {
    bind_quic(
        QuicConfig::new(common::cluster(), peer(name), loopback(), tls).with(|quic| quic.limits = config(name).limits),
    )
    .await
}

async fn tcp_node(name: &str, tls: TlsConfig) -> TcpTransport {
    bind(config(name).with(|config| config.tls = Some(tls))).await
}

/// Comes to a node as "a" with a certificate, over both transports; says whether it was let in.
async fn come(
    quic: &QuicTransport,
    tcp: &TcpTransport,
    certificate: Option<&TestCertificate>,
    alpn: &[u8],
) -> [bool; 2] {
    let endpoint = raw::endpoint();
    let over_quic = match raw::quic(&endpoint, quic.local_addr(), raw::client(certificate, alpn)).await {
        Ok(connection) => raw::greet_quic(&connection, "a", "b", 1).await,
        Err(_) => None,
    };
    let over_tcp = match raw::tls(tcp.local_addr(), raw::client(certificate, alpn)).await {
        Ok(mut stream) => raw::greet_tls(&mut stream, "a", "b").await,
        Err(_) => None,
    };
    [over_quic == Some(0), over_tcp == Some(0)]
}

async fn refused(node: &impl Node, reason: ConnectionRefusalReason, times: u64) {
    until(node, |stats| stats.refused.count(reason) == times).await;
    let last = node.refusals().pop().expect("refusals are remembered");
    assert_eq!(last.reason, reason, "{last}");
    assert!(last.remote.ip().is_loopback() && last.remote.port() != 0);
}

/// "b" over both transports, with "a" as a peer.
async fn nodes(tls: &TlsConfig) -> (QuicTransport, TcpTransport) {
    let (quic, tcp) = (quic_node("b", tls.clone()).await, tcp_node("b", tls.clone()).await);
    quic.add_peer("a", nowhere());
    tcp.add_peer("a", nowhere());
    (quic, tcp)
}

#[tokio::test]
async fn with_authorities_whoever_proves_its_name_is_let_in_and_nobody_else() {
    let (authority, other) = (authority(), authority());
    let (quic, tcp) = nodes(&authority.issue("b").unwrap().config()).await;
    assert_eq!(come(&quic, &tcp, Some(&authority.issue("a").unwrap()), raw::ALPN).await, [true; 2]);
    let cases = [
        (Some(other.issue("a").unwrap()), ConnectionRefusalReason::UnknownIssuer),
        (Some(TestCertificate::self_signed("a").unwrap()), ConnectionRefusalReason::UnknownIssuer),
        (Some(authority.issue_expired("a").unwrap()), ConnectionRefusalReason::OutsideValidity),
        (Some(authority.issue("c").unwrap()), ConnectionRefusalReason::WrongName),
        (None, ConnectionRefusalReason::NoCertificate),
    ];
    for (certificate, reason) in cases {
        let before = [quic.counters(), tcp.counters()].map(|stats| stats.refused.count(reason));
        assert_eq!(come(&quic, &tcp, certificate.as_ref(), raw::ALPN).await, [false; 2], "{reason}");
        refused(&quic, reason, before[0] + 1).await;
        refused(&tcp, reason, before[1] + 1).await;
    }
    assert_eq!(come(&quic, &tcp, Some(&authority.issue_not_yet_valid("a").unwrap()), raw::ALPN).await, [false; 2]);
    refused(&quic, ConnectionRefusalReason::OutsideValidity, 2).await;
    refused(&tcp, ConnectionRefusalReason::OutsideValidity, 2).await;
    assert_eq!(come(&quic, &tcp, Some(&authority.issue("a").unwrap()), b"h3").await, [false; 2]);
    refused(&quic, ConnectionRefusalReason::Protocol, 1).await;
    refused(&tcp, ConnectionRefusalReason::Protocol, 1).await;
    assert_eq!((quic.stats().accepted, tcp.stats().accepted), (1, 1));
    assert_eq!((quic.stats().frames_received, tcp.stats().frames_received), (0, 0));
}

/// Or one certificate would take the places of many peers, or that of any other.
#[tokio::test]
async fn a_certificate_proves_no_name_but_the_one_in_it() {
    let authority = authority();
    let b = authority.issue("b").unwrap().config();
    for (issued, name, proven) in [
        ("a.example.net", "a.example.net", true),
        ("*.example.net", "a.example.net", false),
        ("a.example.net", "A.example.net", false),
        ("a.example.net", "a.example.net.", false),
    ] {
        let (quic, tcp) = (quic_node("b", b.clone()).await, tcp_node("b", b.clone()).await);
        quic.add_peer(name, nowhere());
        tcp.add_peer(name, nowhere());
        let client = raw::client(Some(&authority.issue(issued).unwrap()), raw::ALPN);
        let endpoint = raw::endpoint();
        let connection = raw::quic(&endpoint, quic.local_addr(), client.clone()).await.unwrap();
        let mut stream = raw::tls(tcp.local_addr(), client).await.unwrap();
        let status = Some(if proven { 0 } else { 5 });
        assert_eq!(raw::greet_quic(&connection, name, "b", 1).await, status, "{issued} as {name}");
        assert_eq!(raw::greet_tls(&mut stream, name, "b").await, status, "{issued} as {name}");
    }
}

#[tokio::test]
async fn with_fingerprints_the_listed_are_let_in_and_nobody_else() {
    let authority = authority();
    let [a, b, c] = ["a", "b", "c"].map(|name| TestCertificate::self_signed(name).unwrap());
    let expired = authority.issue_expired("a").unwrap();
    let early = authority.issue_not_yet_valid("a").unwrap();
    let ours = [&a, &expired, &early].map(TestCertificate::fingerprint);
    let listed = BTreeMap::from([(peer("a"), ours.into()), (peer("c"), [c.fingerprint()].into())]);
    let (quic, tcp) = nodes(&b.config_with(Trust::Fingerprints(listed))).await;
    assert_eq!(come(&quic, &tcp, Some(&a), raw::ALPN).await, [true; 2]);
    for (certificate, reason, times) in [
        (&authority.issue("a").unwrap(), ConnectionRefusalReason::Unlisted, 1),
        (&expired, ConnectionRefusalReason::OutsideValidity, 1),
        (&early, ConnectionRefusalReason::OutsideValidity, 2),
        (&c, ConnectionRefusalReason::WrongName, 1),
    ] {
        assert_eq!(come(&quic, &tcp, Some(certificate), raw::ALPN).await, [false; 2], "{reason}");
        refused(&quic, reason, times).await;
        refused(&tcp, reason, times).await;
    }
    let unlisted = authority.issue("a").unwrap();
    assert_eq!(come(&quic, &tcp, Some(&unlisted), raw::ALPN).await, [false; 2]);
    refused(&tcp, ConnectionRefusalReason::Unlisted, 2).await;
    refused(&quic, ConnectionRefusalReason::Unlisted, 2).await;
    for node in [&quic as &dyn Refusals, &tcp] {
        let detail = node.last_detail();
        assert!(detail.contains(&unlisted.fingerprint().to_string()), "the operator learns what to list: {detail}");
    }
}

trait Refusals {
    fn last_detail(&self) -> String;
}

impl<T: Node> Refusals for T {
    fn last_detail(&self) -> String {
        self.refusals().pop().map(|refusal| refusal.detail).unwrap_or_default()
    }
}

/// The dialling side looks as closely as the other one.
#[tokio::test]
async fn whoever_dials_refuses_impostors_too() {
    async fn check<T: Node>(a: &T, impostor: &T, other: &T) {
        a.add_peer("b", impostor.address());
        a.add_peer("c", other.address());
        a.send(&peer("b"), b"for b only".to_vec()).await.unwrap();
        until(a, |stats| stats.refused.wrong_name >= 1).await;
        a.send(&peer("c"), b"for c only".to_vec()).await.unwrap();
        until(a, |stats| stats.refused.unknown_issuer >= 1).await;
        assert_eq!(a.counters().connected, 0);
        assert_eq!((impostor.counters().frames_received, other.counters().frames_received), (0, 0));
    }
    let (ours, theirs) = (authority(), authority());
    let a = ours.issue("a").unwrap().config();
    let impostor = ours.issue("impostor").unwrap().config();
    let other = theirs.issue("c").unwrap().config();
    let quic = |name, tls: &TlsConfig| quic_node(name, tls.clone());
    check(&quic("a", &a).await, &quic("impostor", &impostor).await, &quic("c", &other).await).await;
    let tcp = |name, tls: &TlsConfig| tcp_node(name, tls.clone());
    check(&tcp("a", &a).await, &tcp("impostor", &impostor).await, &tcp("c", &other).await).await;
}

#[tokio::test]
async fn plaintext_and_garbage_are_refused_and_do_no_harm() {
    let authority = authority();
    let (quic, tcp) = nodes(&authority.issue("b").unwrap().config()).await;
    let mut plain = TcpStream::connect(tcp.local_addr()).await.unwrap();
    plain.write_all(&common::hello("a", "b")).await.unwrap();
    let mut answer = Vec::new();
    let _ = in_time(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"AENT"), "no hello is answered");
    refused(&tcp, ConnectionRefusalReason::NotTls, 1).await;

    let socket = UdpSocket::bind(loopback()).await.unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..1_000 {
        let mut datagram = vec![0; random.usize(0..1_472)];
        random.fill(&mut datagram);
        // Half of them look like the first packet of a connection.
        if random.bool() && datagram.len() > 5 {
            datagram[..5].copy_from_slice(&[0xC0, 0, 0, 0, 1]);
        }
        socket.send_to(&datagram, quic.local_addr()).await.unwrap();
    }
    assert_eq!(come(&quic, &tcp, Some(&authority.issue("a").unwrap()), raw::ALPN).await, [true; 2]);
    assert_eq!((quic.stats().accepted, quic.stats().frames_received), (1, 0));
}

/// New certificates for new connections; the open ones stay if they may.
async fn rotate<T: Node>(a: &T, b: &T, old: &TestAuthority, new: &TestAuthority) {
    let both = Pem::Text(old.certificate() + &new.certificate());
    let trusting_both = |certificate: &TestCertificate| certificate.config_with(Trust::Authorities(both.clone()));
    a.add_peer("b", b.address());
    b.add_peer("a", a.address());
    deliver(a, "b", b, b"before").await;
    let connected = a.counters().connected;
    a.change_tls(trusting_both(&old.issue("a").expect("a DNS name"))).expect("they can be used");
    b.change_tls(trusting_both(&new.issue("b").expect("a DNS name"))).expect("they can be used");
    deliver(a, "b", b, b"over the same connection").await;
    assert_eq!(a.counters().connected, connected, "it is still trusted");

    let wrong = old.issue("b").expect("a DNS name").config().with(|tls| tls.key = Pem::Text("no key".into()));
    assert!(matches!(b.change_tls(wrong), Err(TlsError::Missing { .. })));
    deliver(a, "b", b, b"nothing has changed").await;
    assert_eq!(a.counters().connected, connected);

    // "b" now refuses what the old authority has issued, and "a" has nothing else.
    b.change_tls(new.issue("b").expect("a DNS name").config()).expect("they can be used");
    until(b, |stats| stats.refused.no_longer_trusted == 1).await;
    in_time(async {
        while b.counters().refused.unknown_issuer == 0 {
            let _ = a.send(&peer("b"), b"no more".to_vec()).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    a.change_tls(new.issue("a").expect("a DNS name").config()).expect("they can be used");
    deliver(a, "b", b, b"after").await;
}

#[tokio::test]
async fn certificates_change_while_connections_are_open() {
    let (old, new) = (authority(), authority());
    let [a, b] = ["a", "b"].map(|name| old.issue(name).unwrap().config());
    rotate(&quic_node("a", a.clone()).await, &quic_node("b", b.clone()).await, &old, &new).await;
    rotate(&tcp_node("a", a).await, &tcp_node("b", b).await, &old, &new).await;
}

#[tokio::test]
async fn files_are_read_again_on_demand() {
    let (old, new) = (authority(), authority());
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [a, b] = [("a", &directories[0]), ("b", &directories[1])]
        .map(|(name, directory)| old.issue(name).unwrap().write(directory.path()).unwrap().config());
    let (a, b) = (quic_node("a", a).await, quic_node("b", b).await);
    a.add_peer("b", b.local_addr());
    b.add_peer("a", a.local_addr());
    deliver(&a, "b", &b, b"before").await;
    for (node, name, directory) in [(&a, "a", &directories[0]), (&b, "b", &directories[1])] {
        new.issue(name).unwrap().write(directory.path()).unwrap();
        node.reload_tls().unwrap();
    }
    until(&b, |stats| stats.refused.no_longer_trusted == 1 || stats.superseded > 0 || stats.accepted > 1).await;
    deliver(&a, "b", &b, b"after").await;
    std::fs::remove_file(directories[0].path().join("a.key")).unwrap();
    assert!(matches!(a.reload_tls(), Err(TlsError::Read { .. })));
    deliver(&a, "b", &b, b"still").await;
}

#[tokio::test]
async fn certificates_that_cannot_work_are_refused_with_advice() {
    let authority = authority();
    let good = authority.issue("b").unwrap();
    let other = authority.issue("b").unwrap();
    let text = |text: &str| Pem::Text(text.into());
    let with_key = |key: &str| good.config().with(|tls| tls.key = text(key));
    let cases = [
        ("b", with_key(&other.key), "not the key of the certificate"),
        ("b", with_key(""), "no private key"),
        ("b", good.config().with(|tls| tls.certificates = text("x")), "no certificate"),
        (
            "b",
            good.config().with(|tls| tls.certificates = "no/such/file".into()),
            "cannot read certificate, no/such/file",
        ),
        ("b", authority.issue_expired("b").unwrap().config(), "issue a new one"),
        ("b", authority.issue_not_yet_valid("b").unwrap().config(), "issue a new one"),
        ("c", good.config(), "does not have c among its DNS names"),
        ("b b", good.config(), "no DNS name"),
        ("b", good.config_with(Trust::Authorities(text("x"))), "no authority's certificate"),
    ];
    for (name, tls, advice) in cases {
        let refused =
            QuicTransport::bind(QuicConfig::new(common::cluster(), peer(name), loopback(), tls)).await.unwrap_err();
        assert!(matches!(refused, BindError::Tls(_)), "{refused:?}");
        assert!(refused.to_string().contains(advice), "{refused} lacks {advice:?}");
    }
    // A list of fingerprints asks for no names.
    let listed = good.config_with(Trust::Fingerprints(BTreeMap::new()));
    assert!(QuicTransport::bind(QuicConfig::new(common::cluster(), peer("b b"), loopback(), listed)).await.is_ok());
    let plain = bind(config("a")).await;
    assert!(matches!(plain.reload_tls(), Err(TlsError::NoTls)));
    let everywhere = config("b").with(|config| {
        config.listen = ([0, 0, 0, 0], 0).into();
        config.tls = Some(good.config());
    });
    assert!(TcpTransport::bind(everywhere).await.is_ok(), "TLS may leave loopback");
}
