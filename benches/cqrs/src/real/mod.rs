//! The real servers: where they are, and the parts that run on them.
//!
//! `benches/cqrs/services/up` starts them on loopback and leaves their addresses in a file; variables of the same names win
//! over the file, and flags over both, for servers that run elsewhere. A server without an address is an error that
//! names the remedy.

mod memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Answer;
use super::broker::{Broker, KafkaBroker, NatsBroker, RabbitBroker};
use super::clock;
use super::domain::Reference;
use super::postgres::SchemaLocation;
use super::read::{CassandraReadStores, PostgresReadStores, ReadStores, RedisReadStores};
use super::settings::Settings;
use super::write::{Hooks, PostgresWrite, Projection, WriteSide};

/// The default folder of `benches/cqrs/services/up`.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/services");
/// The variable that names another folder.
const VARIABLE: &str = "CENOTE_SERVICES";
/// Where `up` and `down` are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services");

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// The write side; also a read store.
    Postgres,
    /// A broker.
    Rabbitmq,
    /// A broker.
    Kafka,
    /// A broker.
    Nats,
    /// A read store.
    Redis,
    /// A read store.
    Cassandra,
}

impl Server {
    /// All of them.
    pub const ALL: [Server; 6] =
        [Server::Postgres, Server::Rabbitmq, Server::Kafka, Server::Nats, Server::Redis, Server::Cassandra];

    /// The name in scripts and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::Rabbitmq => "rabbitmq",
            Server::Kafka => "kafka",
            Server::Nats => "nats",
            Server::Redis => "redis",
            Server::Cassandra => "cassandra",
        }
    }

    /// The variable that holds its address.
    #[must_use]
    pub fn variable(self) -> String {
        format!("CENOTE_{}", self.name().to_uppercase())
    }
}

/// How a run names what it creates at servers.
#[derive(Debug, Clone, Copy)]
pub struct ResourceNames<'a> {
    /// A part of the names, which no other run uses: letters and digits, lower case.
    pub name: &'a str,
    /// Whether it is kept when the part is dropped, for a later process.
    pub keep: bool,
}

/// The servers of one run.
#[derive(Debug, Clone)]
pub struct Servers {
    addresses: BTreeMap<Server, String>,
    folder: PathBuf,
}

impl Servers {
    /// Reads addresses from the environment and from the folder of `up`: `target/services`, or the folder in `CENOTE_SERVICES`.
    #[must_use]
    pub fn find() -> Servers {
        let folder = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
        let file = std::fs::read_to_string(folder.join("env")).unwrap_or_default();
        let kept: BTreeMap<&str, &str> = file.lines().filter_map(|line| line.split_once('=')).collect();
        let address = |server: Server| {
            let variable = server.variable();
            let own = std::env::var(&variable).ok().filter(|address| !address.is_empty());
            own.or_else(|| kept.get(variable.as_str()).map(|address| (*address).to_owned()))
        };
        let addresses = Server::ALL.into_iter().filter_map(|server| Some((server, address(server)?))).collect();
        Servers { addresses, folder }
    }

    /// Replaces the addresses of the servers that are given here, by name.
    #[must_use]
    pub fn with_addresses(mut self, given: &[(String, String)]) -> Servers {
        for server in Server::ALL {
            let address = given.iter().rfind(|(name, _)| name == server.name()).map(|(_, address)| address.clone());
            self.addresses.extend(address.map(|address| (server, address)));
        }
        self
    }

    /// Where a server is.
    ///
    /// # Errors
    /// There is no address.
    pub fn address(&self, server: Server) -> Answer<&str> {
        let missing = || {
            let (name, variable) = (server.name(), server.variable());
            format!(
                "no address of {name}: run benches/cqrs/services/up {name}, set {variable}, or pass --server {name}=…"
            )
        };
        Ok(self.addresses.get(&server).map(String::as_str).ok_or_else(missing)?)
    }

    /// Whether there is an address.
    #[must_use]
    pub fn has(&self, server: Server) -> bool {
        self.addresses.contains_key(&server)
    }

    /// The write side, under this name; `keep` for a process that comes after, if it has the read model within.
    pub async fn write_side(
        &self,
        names: &ResourceNames<'_>,
        hooks: Hooks,
        reference: Arc<Reference>,
        settings: &Settings,
    ) -> Answer<Arc<dyn WriteSide>> {
        let (url, schema) = (self.address(Server::Postgres)?, format!("cqrs_{}_write", names.name));
        let at = SchemaLocation { url, schema: &schema, keep: names.keep && hooks.projection != Projection::None };
        Ok(Arc::new(PostgresWrite::open(&at, hooks, reference, settings).await?))
    }

    /// The read model within the write side, which an earlier process has kept.
    pub async fn read_stores_within(
        &self,
        names: &ResourceNames<'_>,
        reference: Arc<Reference>,
        settings: &Settings,
    ) -> Answer<Arc<dyn ReadStores>> {
        let (url, schema) = (self.address(Server::Postgres)?, format!("cqrs_{}_write", names.name));
        let at = SchemaLocation { url, schema: &schema, keep: names.keep };
        Ok(Arc::new(PostgresReadStores::open(&at, reference, settings).await?))
    }

    /// A broker.
    ///
    /// # Errors
    /// The server is not of this kind, or can't be reached.
    pub async fn broker(&self, server: Server, settings: &Settings) -> Answer<Arc<dyn Broker>> {
        let (address, data) = (self.address(server)?, self.data(server));
        match server {
            Server::Rabbitmq => Ok(Arc::new(RabbitBroker::open(address, data, settings).await?)),
            Server::Kafka => Ok(Arc::new(KafkaBroker::open(address, data, settings).await?)),
            Server::Nats => Ok(Arc::new(NatsBroker::open(address, data, settings).await?)),
            _ => Err(format!("{} is no broker", server.name()).into()),
        }
    }

    /// A read store, under this name.
    ///
    /// # Errors
    /// The server is not of this kind, or can't be reached.
    pub async fn read_stores(
        &self,
        server: Server,
        names: &ResourceNames<'_>,
        reference: Arc<Reference>,
        settings: &Settings,
    ) -> Answer<Arc<dyn ReadStores>> {
        let (address, name) = (self.address(server)?, format!("cqrs_{}_read", names.name));
        match server {
            Server::Postgres => {
                let at = SchemaLocation { url: address, schema: &name, keep: names.keep };
                Ok(Arc::new(PostgresReadStores::open(&at, reference, settings).await?))
            }
            Server::Redis => Ok(Arc::new(RedisReadStores::open(address, &name, names.keep, reference).await?)),
            Server::Cassandra => {
                let folder = self.data(server);
                Ok(Arc::new(CassandraReadStores::open(address, &name, names.keep, folder, reference).await?))
            }
            _ => Err(format!("{} is no read store", server.name()).into()),
        }
    }

    /// The data folder of a server that `up` has started.
    fn data(&self, server: Server) -> Option<PathBuf> {
        let folder = self.folder.join(server.name());
        folder.is_dir().then_some(folder)
    }

    /// The memory of a server that `up` has started, in bytes; `None` for any other.
    #[must_use]
    pub fn memory_bytes(&self, server: Server) -> Option<u64> {
        let kept = |file| std::fs::read_to_string(self.folder.join(server.name()).join(file)).ok();
        let is_ours = kept("address")?.trim().split_once('=')?.1 == self.addresses.get(&server)?;
        let process = kept("pid").filter(|_| is_ours)?;
        Some(memory::tree_bytes(process.trim().parse().ok()?)).filter(|bytes| *bytes > 0)
    }

    /// Stops a server and keeps its data.
    ///
    /// # Errors
    /// `up` has not started it, or it does not stop.
    pub async fn stop(&self, server: Server) -> Answer<()> {
        self.script("down", &["--keep", server.name()]).await
    }

    /// Starts a server again, on the data that it had.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(&self, server: Server) -> Answer<()> {
        self.script("up", &[server.name()]).await
    }

    async fn script(&self, script: &'static str, arguments: &[&'static str]) -> Answer<()> {
        let mut command = std::process::Command::new(Path::new(SCRIPTS).join(script));
        command.arg("--dir").arg(&self.folder).args(arguments);
        let done = clock::blocking(move || command.output()).await?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("{script} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr)).into())
    }
}
