//! Nodes that speak TLS or QUIC by hand, and keep no rules but those that a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anti_entropy_net::TestCertificate;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{hello, in_time, loopback};

pub(crate) const ALPN: &[u8] = b"anti-entropy/1";

/// Believes everybody.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client with this certificate, or none.
pub(crate) fn client(certificate: Option<&TestCertificate>, alpn: &[u8]) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible));
    let mut client = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let chain = CertificateDer::pem_slice_iter(certificate.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
            let chain = chain.collect::<Result<_, _>>().expect("certificates");
            builder.with_client_auth_cert(chain, key).expect("they belong together")
        }
    };
    client.alpn_protocols = vec![alpn.to_vec()];
    client
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::client(loopback()).expect("loopback has ports")
}

pub(crate) async fn quic(
    endpoint: &Endpoint,
    to: SocketAddr,
    client: ClientConfig,
) -> Result<Connection, quinn::ConnectionError> {
    let crypto = QuicClientConfig::try_from(client).expect("it has TLS 1.3");
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    // Little, so that whoever sends to a node that reads nothing is soon held up.
    transport.stream_receive_window((64_u32 << 10).into());
    // When the connection ends is for the node to say.
    transport.max_idle_timeout(None);
    client.transport_config(Arc::new(transport));
    in_time(endpoint.connect_with(client, to, "x").expect("a valid address")).await
}

/// Says hello and returns the status in the answer; `None` if there is none.
pub(crate) async fn greet_quic(connection: &Connection, from: &str, to: &str, incarnation: u8) -> Option<u8> {
    let (mut writer, mut reader) = in_time(connection.open_bi()).await.ok()?;
    writer.write_all(&hello(from, to)).await.ok()?;
    writer.write_all(&[incarnation; 8]).await.ok()?;
    let mut answer = [0; 6];
    in_time(reader.read_exact(&mut answer)).await.ok()?;
    assert_eq!(answer[..5], *b"AENT\x02");
    if answer[5] == 0 {
        in_time(reader.read_exact(&mut [0; 8])).await.expect("the incarnation");
    }
    Some(answer[5])
}

pub(crate) async fn tls(to: SocketAddr, client: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("x").expect("a DNS name");
    let stream = TcpStream::connect(to).await?;
    in_time(TlsConnector::from(Arc::new(client)).connect(name, stream)).await
}

pub(crate) async fn greet_tls(stream: &mut TlsStream<TcpStream>, from: &str, to: &str) -> Option<u8> {
    stream.write_all(&hello(from, to)).await.ok()?;
    stream.flush().await.ok()?;
    let mut answer = [0; 6];
    in_time(stream.read_exact(&mut answer)).await.ok()?;
    assert_eq!(answer[..5], *b"AENT\x02");
    Some(answer[5])
}

/// Writes the start of a stream by hand.
pub(crate) async fn stream(connection: &Connection, bytes: &[u8]) -> SendStream {
    let mut stream = in_time(connection.open_uni()).await.expect("the connection is open");
    stream.write_all(bytes).await.expect("the connection is open");
    stream
}

/// Accepts a stream by hand.
pub(crate) async fn accept(connection: &Connection) -> RecvStream {
    in_time(connection.accept_uni()).await.expect("a stream")
}

/// Passes datagrams on between one client and a node, until told to swallow them.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    swallows_to_node: Arc<AtomicBool>,
    swallows_to_client: Arc<AtomicBool>,
    _task: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn new(node: SocketAddr) -> Self {
        let front = UdpSocket::bind(loopback()).await.expect("loopback has ports");
        let back = UdpSocket::bind(loopback()).await.expect("loopback has ports");
        back.connect(node).await.expect("a valid address");
        let address = front.local_addr().expect("it is bound");
        let [swallows_to_node, swallows_to_client] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let swallows = [&swallows_to_node, &swallows_to_client].map(Arc::clone);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut client, mut there, mut here) = (None, vec![0; 1 << 16], vec![0; 1 << 16]);
            loop {
                // Errors are lost datagrams.
                tokio::select! {
                    Ok((bytes, from)) = front.recv_from(&mut there) => {
                        client = Some(from);
                        if !swallows[0].load(Ordering::Relaxed) {
                            let _ = back.send(&there[..bytes]).await;
                        }
                    }
                    Ok(bytes) = back.recv(&mut here) => {
                        if let Some(client) = client.filter(|_| !swallows[1].load(Ordering::Relaxed)) {
                            let _ = front.send_to(&here[..bytes], client).await;
                        }
                    }
                    else => tokio::task::yield_now().await,
                }
            }
        });
        Self { address, swallows_to_node, swallows_to_client, _task: task }
    }

    /// The client hears nothing more.
    pub(crate) fn swallow_to_client(&self) {
        self.swallows_to_client.store(true, Ordering::Relaxed);
    }

    /// Nor does the node.
    pub(crate) fn swallow_all(&self) {
        self.swallow_to_client();
        self.swallows_to_node.store(true, Ordering::Relaxed);
    }
}
