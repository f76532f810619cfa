//! Every limit of the endpoint, reached, and what strangers send.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::time::Duration;

use anti_entropy_net::{PrometheusConfig, PrometheusEndpoint, PrometheusError};
use common::{closed, http, in_time, loopback, put};
use tokio::net::TcpStream;

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\n\r\n";

async fn bind(set: impl FnOnce(&mut PrometheusConfig)) -> PrometheusEndpoint {
    // The idle timeout of the first one is that of the process.
    let idle_timeout = Duration::from_millis(50);
    let mut config = PrometheusConfig::default().with(|config| {
        config.listen = loopback();
        config.idle_timeout = idle_timeout;
    });
    set(&mut config);
    PrometheusEndpoint::bind(config).await.unwrap()
}

async fn status(endpoint: &PrometheusEndpoint, request: &[u8]) -> String {
    let answer = http(endpoint.local_addr(), request).await;
    answer.strip_prefix("HTTP/1.1 ").and_then(|answer| answer.split(' ').next()).unwrap_or(&answer).to_string()
}

#[tokio::test]
async fn garbage_is_answered_and_breaks_nothing() {
    let endpoint = bind(|_| {}).await;
    for (request, expected) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
        (b"GET /metrics/x HTTP/1.1\r\n\r\n", "404"),
        (b"DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "400"),
        (b"\r\n\r\n", "400"),
    ] {
        assert_eq!(status(&endpoint, request).await, expected, "{request:?}");
    }
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..100 {
        let mut garbage: Vec<u8> = (0..random.usize(0..300)).map(|_| random.u8(..)).collect();
        garbage.extend_from_slice(b"\r\n\r\n");
        assert_eq!(status(&endpoint, &garbage).await, "400", "{garbage:?}");
    }
    assert_eq!(status(&endpoint, GET).await, "200");
}

#[tokio::test]
async fn max_request_bytes() {
    let endpoint = bind(|config| config.max_request_bytes = 100).await;
    let request = |fill: usize| format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(fill)).into_bytes();
    let longest = request(100 - request(0).len());
    assert_eq!(longest.len(), 100);
    assert_eq!(status(&endpoint, &longest).await, "200");
    assert_eq!(status(&endpoint, &request(101 - request(0).len())).await, "431");
    assert_eq!(status(&endpoint, &request(20_000)).await, "431");
}

#[tokio::test]
async fn request_timeout() {
    let endpoint = bind(|config| config.request_timeout = Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(endpoint.local_addr()).await.unwrap();
    put(&mut silent, b"GET /metr").await;
    closed(&mut silent).await;
}

#[tokio::test]
async fn max_connections() {
    // Nothing else ends a connection here.
    let endpoint = bind(|config| {
        config.max_connections = 1;
        config.request_timeout = Duration::from_secs(3600);
    })
    .await;
    let silent = TcpStream::connect(endpoint.local_addr()).await.unwrap();
    let mut refused = TcpStream::connect(endpoint.local_addr()).await.unwrap();
    closed(&mut refused).await;
    drop(silent);
    // Its place is free as soon as the endpoint has noticed.
    in_time(async { while status(&endpoint, GET).await != "200" {} }).await;
}

#[tokio::test]
async fn idle_timeout() {
    let endpoint = bind(|_| {}).await;
    metrics::gauge!("forgotten").set(1.0);
    metrics::counter!("kept").increment(1);
    let page = || http(endpoint.local_addr(), GET);
    assert!(page().await.contains("\nkept 1\n"));
    in_time(async { while page().await.contains("\nforgotten 1\n") {} }).await;
    assert!(page().await.contains("\nkept 1\n"));
    metrics::gauge!("forgotten").set(2.0);
    assert!(page().await.contains("\nforgotten 2\n"), "and comes back when it is set");
}

#[tokio::test]
async fn configurations_that_make_no_sense_are_refused_by_name() {
    type Spoil = fn(&mut PrometheusConfig);
    let spoils: [(&str, Spoil); 14] = [
        ("hosts", |config| config.hosts = vec![String::new()]),
        ("hosts", |config| config.hosts = vec!["node-1.example:9464".into()]),
        ("hosts", |config| config.hosts = vec!["node".into(); 1_025]),
        ("buckets", |config| config.buckets.clear()),
        ("buckets", |config| config.buckets = (1..=101).map(f64::from).collect()),
        ("buckets", |config| config.buckets = vec![1.0, 1.0]),
        ("buckets", |config| config.buckets = vec![0.0]),
        ("buckets", |config| config.buckets = vec![1.0, f64::NAN]),
        ("idle_timeout", |config| config.idle_timeout = Duration::ZERO),
        ("max_connections", |config| config.max_connections = 0),
        ("max_connections", |config| config.max_connections = usize::MAX),
        ("request_timeout", |config| config.request_timeout = Duration::ZERO),
        ("max_request_bytes", |config| config.max_request_bytes = 0),
        ("max_request_bytes", |config| config.max_request_bytes = usize::MAX),
    ];
    for (name, spoil) in spoils {
        let mut config = PrometheusConfig::default().with(|config| config.listen = loopback());
        spoil(&mut config);
        let refused = PrometheusEndpoint::bind(config).await.unwrap_err();
        assert!(matches!(&refused, PrometheusError::Config(error) if error.field == name), "{name}: {refused}");
    }
}

#[tokio::test]
async fn other_machines_and_taken_addresses_are_refused() {
    let open = PrometheusConfig::default().with(|config| config.listen = ([0, 0, 0, 0], 0).into());
    let refused = PrometheusEndpoint::bind(open.clone()).await.unwrap_err();
    assert!(matches!(&refused, PrometheusError::Config(error) if error.field == "listen"), "{refused}");
    assert!(refused.to_string().contains("allow_non_loopback"), "{refused}");
    assert!(PrometheusConfig::default().listen.ip().is_loopback());
    let endpoint = bind(|_| {}).await;
    let taken = PrometheusConfig::default().with(|config| config.listen = endpoint.local_addr());
    let refused = PrometheusEndpoint::bind(taken).await.unwrap_err();
    assert!(matches!(refused, PrometheusError::Listen { .. }), "{refused}");
}
