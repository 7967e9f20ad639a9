//! A certificate authority made for one test, with a server and a client certificate under it. Nothing in
//! the repository expires.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

/// An authority and two identities that it signed.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's own certificate, as PEM: what a peer has to trust.
    pub authority: String,
    /// For `localhost` and 127.0.0.1.
    pub server: Identity,
    /// For a client named `client`.
    pub client: Identity,
}

/// Chooses aws-lc for the whole process. Every test that touches TLS calls it first; twice is fine.
pub fn install_crypto() {
    // An error means that another test of this process was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Fresh certificates.
pub fn certificates() -> Certificates {
    install_crypto();
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = parameters("Test authority", &[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).expect("a valid authority");
    let issuer = Issuer::new(authority, authority_key);
    Certificates {
        authority: certificate.pem(),
        server: identity(
            &issuer,
            "localhost",
            &["localhost", "127.0.0.1"],
            ExtendedKeyUsagePurpose::ServerAuth,
        ),
        client: identity(
            &issuer,
            "client",
            &["client"],
            ExtendedKeyUsagePurpose::ClientAuth,
        ),
    }
}

fn identity(
    issuer: &Issuer<'_, KeyPair>,
    name: &str,
    alternatives: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = parameters(name, alternatives);
    parameters.extended_key_usages = vec![usage];
    let certificate = parameters.signed_by(&key, issuer).expect("a valid certificate");
    Identity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn parameters(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<String> = alternatives.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(alternatives).expect("valid names");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

impl Certificates {
    /// Writes `authority.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` to a folder.
    pub fn write_to(&self, folder: &Path) {
        let files = [
            ("authority.pem", &self.authority),
            ("server.pem", &self.server.certificate),
            ("server.key", &self.server.key),
            ("client.pem", &self.client.certificate),
            ("client.key", &self.client.key),
        ];
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file of the test");
        }
    }

    /// TLS for a server, with HTTP/2 and HTTP/1.1 offered.
    pub fn server_config(&self) -> ServerConfig {
        self.serve(ServerConfig::builder().with_no_client_auth())
    }

    /// TLS for a server that demands a certificate of this authority from its clients.
    pub fn mutual_server_config(&self) -> ServerConfig {
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots()))
            .build()
            .expect("a root is there");
        self.serve(ServerConfig::builder().with_client_cert_verifier(verifier))
    }

    /// TLS for a client that trusts this authority alone and shows no certificate.
    pub fn client_config(&self) -> ClientConfig {
        ClientConfig::builder()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// TLS for a client that shows the client certificate.
    pub fn mutual_client_config(&self) -> ClientConfig {
        let (chain, key) = self.client.parsed();
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        builder
            .with_client_auth_cert(chain, key)
            .expect("certificate and key match")
    }

    fn serve(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> ServerConfig {
        let (chain, key) = self.server.parsed();
        let mut config = builder
            .with_single_cert(chain, key)
            .expect("certificate and key match");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).expect("PEM made above");
        roots.add(authority).expect("a valid authority");
        roots
    }
}

impl Identity {
    fn parsed(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate =
            CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM made above");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM made above");
        (vec![certificate], key)
    }
}
