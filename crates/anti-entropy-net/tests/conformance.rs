//! The transports keep the laws of the trait.

mod common;

use anti_entropy::Transport;
use anti_entropy_conformance::check_transport;
use common::{pair, peer, quic_pair, tls_pair};

async fn check<T: Transport>(a: &T, b: &T, close_b: impl Future<Output = ()>) {
    let sleep =
        |duration| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(tokio::time::sleep(duration)) };
    check_transport(a, peer("a"), b, peer("b"), close_b, sleep).await.expect("all laws are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tcp_transport_conforms() {
    let (a, b) = pair().await;
    check(&a, &b, b.close()).await;
    assert!(!a.authenticated());
}

#[tokio::test]
async fn it_conforms_on_one_thread_as_well() {
    let (a, b) = pair().await;
    check(&a, &b, b.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_over_tcp_conforms() {
    let (a, b) = tls_pair().await;
    check(&a, &b, b.close()).await;
    assert!(a.authenticated());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quic_transport_conforms() {
    let (a, b) = quic_pair().await;
    check(&a, &b, b.close()).await;
    assert!(a.authenticated());
}

#[tokio::test]
async fn quic_conforms_on_one_thread_as_well() {
    let (a, b) = quic_pair().await;
    check(&a, &b, b.close()).await;
}
