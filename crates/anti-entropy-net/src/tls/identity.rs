use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use tokio::sync::watch;
use tokio::time::timeout;
use webpki::EndEntityCert;

use super::config::{TlsConfig, Trust};
use super::error::TlsError;
use super::pem::Pem;
use super::verifier::{Role, Trusted, Verifier, dns_name, webpki_error};
use crate::key_file::warn_if_loose;

/// The name of the protocol in TLS (ALPN), so that a connection for another protocol is refused.
pub(crate) const ALPN: &[u8] = b"anti-entropy/1";

/// How often the certificates of open connections are verified again, since they may expire. This is soon enough for
/// certificates that are valid for hours, and the few signatures to verify cost next to nothing.
const CHECK_EVERY: Duration = Duration::from_secs(60);

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];

/// The server name that TLS is given. Names are checked on both sides after the handshake instead, and a stranger who
/// listens on the line need not learn them.
pub(crate) fn no_name() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])))
}

/// Certificates that were read and checked, in the form that the TLS library takes.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    verifier: Arc<Verifier>,
    /// Derived from the private key, for what must be the same after a restart.
    #[cfg(feature = "quic")]
    pub(crate) secret: [u8; 32],
}

impl Identity {
    /// Reads the files that the configuration names, and checks that the certificate proves `name`.
    pub(crate) fn load(config: &TlsConfig, name: &PeerId) -> Result<Self, TlsError> {
        config.validate()?;
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&config.certificates, "certificate")?;
        let key = private_key(&config.key)?;
        let verifier = Arc::new(Verifier::new(trusted(&config.trust)?, &provider));
        check_own(&chain, &config.certificates, &config.trust, &verifier, name)?;
        #[cfg(feature = "quic")]
        let secret = secret_of(&key);
        Ok(Self {
            client: Arc::new(client(&provider, &verifier, chain.clone(), key.clone_key(), &config.key)?),
            server: Arc::new(server(&provider, &verifier, chain, key, &config.key)?),
            verifier,
            #[cfg(feature = "quic")]
            secret,
        })
    }

    /// Whether certificates that TLS has verified prove a name.
    pub(crate) fn proves(&self, certificates: &[CertificateDer<'_>], name: &PeerId) -> bool {
        certificates.first().is_some_and(|own| self.verifier.proves(own, name))
    }

    /// Whether certificates that were trusted before are still trusted at this time.
    fn still_trusts(&self, certificates: &[CertificateDer<'_>], name: &PeerId, now: UnixTime) -> bool {
        let Some((own, others)) = certificates.split_first() else { return false };
        let verified = |role| self.verifier.verify(own, others, role, now).is_ok();
        self.verifier.proves(own, name) && (verified(Role::Client) || verified(Role::Server))
    }
}

/// The certificates in use, which may be replaced while connections are open.
#[derive(Debug)]
pub(crate) struct TlsHandle {
    config: Mutex<TlsConfig>,
    current: watch::Sender<Arc<Identity>>,
}

impl TlsHandle {
    pub(crate) fn new(config: TlsConfig, name: &PeerId) -> Result<Self, TlsError> {
        let current = watch::Sender::new(Arc::new(Identity::load(&config, name)?));
        Ok(Self { config: Mutex::new(config), current })
    }

    pub(crate) fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.borrow())
    }

    /// Loads another configuration, or the same one again, and calls `install` with it before it is used. If either
    /// fails, nothing has changed.
    pub(crate) fn load(
        &self,
        config: Option<TlsConfig>,
        name: &PeerId,
        install: impl FnOnce(&Identity) -> Result<(), TlsError>,
    ) -> Result<(), TlsError> {
        let mut place = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let config = config.unwrap_or_else(|| place.clone());
        let identity = Identity::load(&config, name)?;
        install(&identity)?;
        *place = config;
        self.current.send_replace(Arc::new(identity));
        Ok(())
    }

    /// Waits until certificates no longer prove a name. They are verified against the present configuration at once,
    /// against each new one when it is loaded, and again while time passes.
    pub(crate) async fn distrusted(&self, certificates: &[CertificateDer<'_>], name: &PeerId) {
        self.distrusted_by(UnixTime::now, certificates, name).await;
    }

    async fn distrusted_by(
        &self,
        now: impl Fn() -> UnixTime + Send,
        certificates: &[CertificateDer<'_>],
        name: &PeerId,
    ) {
        let mut current = self.current.subscribe();
        loop {
            let identity = Arc::clone(&current.borrow_and_update());
            if !identity.still_trusts(certificates, name, now()) {
                return;
            }
            // The sender is `self`'s.
            let _ = timeout(CHECK_EVERY, current.changed()).await;
        }
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    key_file: &Pem,
) -> Result<ClientConfig, TlsError> {
    let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Verifier>::clone(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(|error| key_error(key_file, error))?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    // Each connection is authenticated anew: who has been distrusted has no ticket to come back with.
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    Ok(client)
}

fn server(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    key_file: &Pem,
) -> Result<ServerConfig, TlsError> {
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_client_cert_verifier(Arc::<Verifier>::clone(verifier))
        .with_single_cert(chain, key)
        .map_err(|error| key_error(key_file, error))?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.max_early_data_size = 0;
    Ok(server)
}

fn key_error(file: &Pem, error: rustls::Error) -> TlsError {
    let reason = match error {
        rustls::Error::InconsistentKeys(_) => "it is not the key of the certificate".into(),
        other => other.to_string(),
    };
    TlsError::Key { file: file.to_string(), reason }
}

/// Refuses a certificate that every peer would refuse.
fn check_own(
    chain: &[CertificateDer<'_>],
    file: &Pem,
    trust: &Trust,
    verifier: &Verifier,
    name: &PeerId,
) -> Result<(), TlsError> {
    let refused = |error: webpki::Error| {
        let reason = webpki_error(error).to_string();
        TlsError::OwnCertificate { file: file.to_string(), reason }
    };
    let own = chain.first().ok_or_else(|| missing(file, "certificate", "CERTIFICATE"))?;
    let parsed = EndEntityCert::try_from(own).map_err(refused)?;
    for role in [Role::Client, Role::Server] {
        verifier.in_itself(&parsed, role, UnixTime::now()).map_err(refused)?;
    }
    if matches!(trust, Trust::Authorities(_)) {
        // A chain of another authority is no mistake: the peers may trust one that this node does not.
        dns_name(name).ok_or_else(|| TlsError::NoDnsName(name.clone()))?;
        if !verifier.proves(own, name) {
            return Err(TlsError::OwnName { file: file.to_string(), name: name.clone() });
        }
    }
    Ok(())
}

fn trusted(trust: &Trust) -> Result<Trusted, TlsError> {
    let file = match trust {
        Trust::Fingerprints(listed) => return Ok(Trusted::Fingerprints(listed.clone())),
        Trust::Authorities(file) => file,
    };
    let anchors = certificates(file, "authority's certificate")?.into_iter().map(|certificate| {
        let anchor = webpki::anchor_from_trusted_cert(&certificate).map(|anchor| anchor.to_owned());
        anchor.map_err(|error| TlsError::Authority { file: file.to_string(), reason: error.to_string() })
    });
    Ok(Trusted::Authorities(anchors.collect::<Result<_, _>>()?))
}

fn certificates(pem: &Pem, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = pem.read().map_err(|source| TlsError::Read { what, file: pem.to_string(), source })?;
    let found = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| missing(pem, what, "CERTIFICATE"))
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key";
    if let Pem::File(path) = pem {
        warn_if_loose(path);
    }
    let content = pem.read().map_err(|source| TlsError::Read { what, file: pem.to_string(), source })?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|_| missing(pem, what, "PRIVATE KEY"))
}

fn missing(pem: &Pem, what: &'static str, block: &'static str) -> TlsError {
    TlsError::Missing { what, file: pem.to_string(), block }
}

#[cfg(feature = "quic")]
fn secret_of(key: &PrivateKeyDer<'_>) -> [u8; 32] {
    use ::ring::hmac::{HMAC_SHA256, Key, sign};

    let mut secret = [0; 32];
    secret.copy_from_slice(sign(&Key::new(HMAC_SHA256, key.secret_der()), b"anti-entropy/1 reset").as_ref());
    secret
}

#[cfg(all(test, feature = "test-ca"))]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::test_ca::TestAuthority;

    /// In 4096, as all certificates for tests.
    const EXPIRY: Duration = Duration::from_secs(67_090_118_400);

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_trusted_until_it_expires_and_a_minute_longer_at_most() {
        let authority = TestAuthority::new().unwrap();
        let handle = TlsHandle::new(authority.issue("b").unwrap().config(), &"b".into()).unwrap();
        let issued = authority.issue("a").unwrap();
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
        let (start, lead) = (Instant::now(), Duration::from_secs(200));
        let start_time = EXPIRY.checked_sub(lead).unwrap();
        let now = || UnixTime::since_unix_epoch(start_time + start.elapsed());
        handle.distrusted_by(now, &chain, &"a".into()).await;
        assert!((lead..=lead + CHECK_EVERY).contains(&start.elapsed()), "{:?}", start.elapsed());
        // One that is over is not waited for.
        let again = Instant::now();
        handle.distrusted_by(now, &chain, &"a".into()).await;
        assert_eq!(again.elapsed(), Duration::ZERO);
    }
}
