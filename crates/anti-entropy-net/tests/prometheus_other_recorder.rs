//! An application that has a recorder of its own.
#![allow(clippy::unwrap_used, reason = "a test may")]

use anti_entropy_net::{PrometheusConfig, PrometheusEndpoint, PrometheusError};

#[tokio::test]
async fn another_recorder_goes_on_and_nothing_is_opened() {
    metrics::set_global_recorder(metrics::NoopRecorder).unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused =
        PrometheusEndpoint::bind(PrometheusConfig::default().with(|config| config.listen = listen)).await.unwrap_err();
    assert!(matches!(refused, PrometheusError::OtherRecorder), "{refused}");
    assert!(tokio::net::TcpStream::connect(listen).await.is_err());
}
