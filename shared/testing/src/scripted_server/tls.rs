//! TLS for the scripted server: a certificate for loopback, of a CA that no machine trusts. Their keys protect nothing.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::Duplex;

/// The certificate of the CA, as a PEM file has it.
pub const CA_PEM: &str = include_str!("ca.pem");

const LEAF: &[u8] = include_bytes!("leaf.der");
const KEY: &[u8] = include_bytes!("leaf.key.der");

pub(super) fn server_config() -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has them").with_no_client_auth();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY.to_vec()));
    let config = builder.with_single_cert(vec![CertificateDer::from(LEAF.to_vec())], key);
    Arc::new(config.expect("certificate and key fit"))
}

pub(super) fn accept(config: &Arc<ServerConfig>, stream: TcpStream) -> Option<Box<dyn Duplex>> {
    let connection = ServerConnection::new(Arc::clone(config)).ok()?;
    Some(Box::new(StreamOwned::new(connection, stream)))
}
