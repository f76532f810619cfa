//! The TCP transport keeps the laws of the trait.

mod common;

use anti_entropy::conformance::check_transport;
use common::{pair, peer};

#[tokio::test(flavor = "multi_thread")]
async fn the_tcp_transport_conforms() {
    let (a, b) = pair().await;
    let sleep =
        |duration| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(tokio::time::sleep(duration)) };
    check_transport(&a, peer("a"), &b, peer("b"), b.close(), sleep).await.unwrap();
}

#[tokio::test]
async fn it_conforms_on_one_thread_as_well() {
    let (a, b) = pair().await;
    let sleep =
        |duration| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(tokio::time::sleep(duration)) };
    check_transport(&a, peer("a"), &b, peer("b"), b.close(), sleep).await.unwrap();
}
