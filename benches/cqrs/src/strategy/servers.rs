//! The parts of a stage that run on servers; without the feature `real` there are none.

use std::sync::Arc;

#[cfg(feature = "real")]
use super::WriteKind;
use super::{BrokerKind, Stage, StoreKind, Strategy};
use crate::Answer;
use crate::broker::Broker;
use crate::read::ReadStores;
#[cfg(feature = "real")]
use crate::real::{ResourceNames, Server, Servers};
use crate::write::{Hooks, WriteSide};

#[cfg(feature = "real")]
impl Stage {
    fn names(&self) -> ResourceNames<'_> {
        ResourceNames { name: &self.name, keep: self.keep }
    }

    fn servers(&self) -> Servers {
        Servers::find().with_addresses(&self.servers)
    }

    pub(super) async fn server_write(&self, hooks: Hooks) -> Answer<Arc<dyn WriteSide>> {
        self.servers().write_side(&self.names(), hooks, Arc::clone(&self.world.reference), &self.settings).await
    }

    pub(super) async fn server_broker(&self, kind: BrokerKind) -> Answer<Arc<dyn Broker>> {
        let server = broker_server(kind).ok_or("the embedded broker is not a server")?;
        self.servers().broker(server, &self.settings).await
    }

    pub(super) async fn server_stores(&self, kind: StoreKind) -> Answer<Arc<dyn ReadStores>> {
        let server = store_server(kind).ok_or("SQLite is not a server")?;
        self.servers().read_stores(server, &self.names(), Arc::clone(&self.world.reference), &self.settings).await
    }

    /// The memory of each server that this strategy uses, by part, in bytes.
    #[must_use]
    pub fn server_memory(&self, strategy: Strategy) -> Vec<(&'static str, u64)> {
        let write = Some(Server::Postgres).filter(|_| self.write == WriteKind::Postgres);
        let broker = broker_server(self.broker).filter(|_| strategy.has_broker());
        // A server that is both counts as the write side.
        let store = store_server(self.store).filter(|store| strategy.has_read_store() && write != Some(*store));
        let parts = [("memory_write_side", write), ("memory_broker", broker), ("memory_read_store", store)];
        let servers = self.servers();
        parts.into_iter().filter_map(|(part, server)| Some((part, servers.memory_bytes(server?)?))).collect()
    }

    pub(super) async fn server_stores_within(&self) -> Answer<Arc<dyn ReadStores>> {
        self.servers().read_stores_within(&self.names(), Arc::clone(&self.world.reference), &self.settings).await
    }
}

#[cfg(feature = "real")]
fn broker_server(kind: BrokerKind) -> Option<Server> {
    match kind {
        BrokerKind::Embedded => None,
        BrokerKind::Rabbitmq => Some(Server::Rabbitmq),
        BrokerKind::Kafka => Some(Server::Kafka),
        BrokerKind::Nats => Some(Server::Nats),
    }
}

#[cfg(feature = "real")]
fn store_server(kind: StoreKind) -> Option<Server> {
    match kind {
        StoreKind::Sqlite => None,
        StoreKind::Postgres => Some(Server::Postgres),
        StoreKind::Redis => Some(Server::Redis),
        StoreKind::Cassandra => Some(Server::Cassandra),
    }
}

#[cfg(not(feature = "real"))]
impl Stage {
    pub(super) async fn server_write(&self, _hooks: Hooks) -> Answer<Arc<dyn WriteSide>> {
        Err(needs_real("--write postgres"))
    }

    pub(super) async fn server_broker(&self, _kind: BrokerKind) -> Answer<Arc<dyn Broker>> {
        Err(needs_real("--broker"))
    }

    pub(super) async fn server_stores(&self, _kind: StoreKind) -> Answer<Arc<dyn ReadStores>> {
        Err(needs_real("--store"))
    }

    /// The memory of each server that this strategy uses: there are none.
    #[must_use]
    pub fn server_memory(&self, _strategy: Strategy) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    pub(super) async fn server_stores_within(&self) -> Answer<Arc<dyn ReadStores>> {
        Err(needs_real("--write postgres"))
    }
}

#[cfg(not(feature = "real"))]
fn needs_real(flag: &str) -> crate::Failure {
    format!("{flag} needs the clients of servers: build with `--features real`").into()
}
