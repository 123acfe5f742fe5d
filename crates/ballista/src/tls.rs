//! Encryption and authentication of all connections, by rustls.
//!
//! Both sides of a connection present a certificate. The certificates are files, or are created from a token that all
//! machines have: the token determines the key of a certificate authority, by HKDF, and each process issues itself a
//! certificate of that authority. So only processes that know the token are trusted.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ED25519,
};
use ring::hkdf::{HKDF_SHA256, Salt};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::settings::{self, Setting};

/// Name in certificates that are created from a token.
const TOKEN_NAME: &str = "holdall";

/// Minimum length of a token, in bytes. A shorter one could be guessed.
const TOKEN_BYTES: usize = 32;

/// Beginning of an Ed25519 key in PKCS #8 (RFC 8410); the 32 bytes of the key follow.
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// How connections are protected.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    /// They are not, so they never leave this machine.
    Loopback,
    Tls(Arc<Tls>),
}

/// Settings for both sides of connections.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    /// Name in the certificates of all machines, unless each has its own.
    name: Option<&'static str>,
}

impl Security {
    /// Returns the security that the environment variables describe.
    pub(crate) fn from_env() -> Setting<Self> {
        let token = settings::path("HOLDALL_TOKEN_FILE");
        let variables = ["HOLDALL_TLS_CA", "HOLDALL_TLS_CERT", "HOLDALL_TLS_KEY"];
        match (token, variables.map(settings::path)) {
            (None, [None, None, None]) => Ok(Self::Loopback),
            (Some(token), [None, None, None]) => Self::from_token(&read(&token)?)
                .map_err(|reason| format!("{}: {reason}", token.display())),
            (None, [Some(ca), Some(certificate), Some(key)]) => {
                Self::from_files(&ca, &certificate, &key)
            }
            _ => Err(
                "set either HOLDALL_TOKEN_FILE, or all of HOLDALL_TLS_CA, HOLDALL_TLS_CERT and HOLDALL_TLS_KEY"
                    .to_owned(),
            ),
        }
    }

    fn from_files(ca: &Path, certificate: &Path, key: &Path) -> Setting<Self> {
        let certificates = |path: &Path| {
            let text = read(path)?;
            let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
            certificates.map_err(|error| format!("{}: {error}", path.display()))
        };
        let private = PrivateKeyDer::from_pem_slice(&read(key)?);
        let private = private.map_err(|error| format!("{}: {error}", key.display()))?;
        Tls::security(certificates(ca)?, certificates(certificate)?, private, None)
            .map_err(|error| format!("{}: {error}", certificate.display()))
    }

    /// Returns the security of processes that share a token.
    pub(crate) fn from_token(token: &[u8]) -> Setting<Self> {
        let token = token.trim_ascii();
        if token.len() < TOKEN_BYTES {
            return Err(format!(
                "a token needs at least {TOKEN_BYTES} characters, for example from `openssl rand -hex 32`"
            ));
        }
        let mut pkcs8 = [0; 48];
        let (head, seed) = pkcs8.split_at_mut(ED25519_PKCS8.len());
        head.copy_from_slice(&ED25519_PKCS8);
        let key = Salt::new(HKDF_SHA256, b"holdall token").extract(token);
        let key = key.expand(&[b"certificate authority"], HKDF_SHA256);
        key.and_then(|key| key.fill(seed))
            .map_err(|error| error.to_string())?;
        Self::issued_by(&pkcs8).map_err(|error| error.to_string())?
    }

    /// Issues a certificate of the authority with this key.
    fn issued_by(authority: &[u8]) -> Result<Setting<Self>, rcgen::Error> {
        let key = PrivatePkcs8KeyDer::from(authority);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519)?;
        let mut params = CertificateParams::new([TOKEN_NAME.to_owned()])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate()?;
        let mut params = CertificateParams::new([TOKEN_NAME.to_owned()])?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&own, &issuer)?.der().clone();
        let private = PrivatePkcs8KeyDer::from(own.serialize_der()).into();
        let security = Tls::security(vec![ca], vec![certificate], private, Some(TOKEN_NAME));
        Ok(security.map_err(|error| error.to_string()))
    }

    /// Returns an error if connections at this address could leave this machine without protection.
    pub(crate) fn check(&self, address: IpAddr) -> Setting<()> {
        if matches!(self, Self::Loopback) && !address.is_loopback() {
            return Err(format!(
                "{address} can be reached from other machines: set HOLDALL_TOKEN_FILE, or certificates"
            ));
        }
        Ok(())
    }
}

impl Tls {
    fn security(
        ca: Vec<CertificateDer<'static>>,
        certificate: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        name: Option<&'static str>,
    ) -> Result<Security, Box<dyn std::error::Error>> {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            roots.add(certificate)?;
        }
        let roots = Arc::new(roots);
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients.build()?)
            .with_single_cert(certificate.clone(), key.clone_key())?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(servers.build()?)
            .with_client_auth_cert(certificate, key)?;
        Ok(Security::Tls(Arc::new(Self {
            client: Arc::new(client),
            server: Arc::new(server),
            name,
        })))
    }

    /// Returns the name that the certificate of the peer at `address` must have.
    pub(crate) fn server_name(&self, address: &str) -> std::io::Result<ServerName<'static>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = self.name.unwrap_or(host.trim_matches(['[', ']']));
        ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)
    }
}

fn read(path: &Path) -> Setting<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
