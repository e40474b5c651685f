//! The parts of a stage that are at servers; without the feature `real` there are none.

use std::sync::Arc;

use super::{BrokerKind, Stage, StoreKind};
use crate::cqrs::Answer;
use crate::cqrs::broker::Broker;
use crate::cqrs::read::ReadStores;
#[cfg(feature = "real")]
use crate::cqrs::real::{Own, Server, Servers};
use crate::cqrs::write::{Hooks, WriteSide};

#[cfg(feature = "real")]
impl Stage {
    fn own(&self) -> Own<'_> {
        Own { name: &self.name, keep: self.keep }
    }

    pub(super) async fn server_write(&self, hooks: Hooks) -> Answer<Arc<dyn WriteSide>> {
        Servers::find().write_side(&self.own(), hooks, Arc::clone(&self.world.reference), &self.settings).await
    }

    pub(super) async fn server_broker(&self, kind: BrokerKind) -> Answer<Arc<dyn Broker>> {
        let server = match kind {
            BrokerKind::Embedded => return Err("the embedded broker is no server".into()),
            BrokerKind::Rabbitmq => Server::Rabbitmq,
            BrokerKind::Kafka => Server::Kafka,
            BrokerKind::Nats => Server::Nats,
        };
        Servers::find().broker(server, &self.settings).await
    }

    pub(super) async fn server_stores(&self, kind: StoreKind) -> Answer<Arc<dyn ReadStores>> {
        let server = match kind {
            StoreKind::Sqlite => return Err("SQLite is no server".into()),
            StoreKind::Postgres => Server::Postgres,
            StoreKind::Redis => Server::Redis,
        };
        Servers::find().read_stores(server, &self.own(), Arc::clone(&self.world.reference), &self.settings).await
    }

    pub(super) async fn server_stores_within(&self) -> Answer<Arc<dyn ReadStores>> {
        Servers::find().read_stores_within(&self.own(), Arc::clone(&self.world.reference), &self.settings).await
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

    pub(super) async fn server_stores_within(&self) -> Answer<Arc<dyn ReadStores>> {
        Err(needs_real("--write postgres"))
    }
}

#[cfg(not(feature = "real"))]
fn needs_real(flag: &str) -> crate::cqrs::Failure {
    format!("{flag} needs the clients of servers: build with `--features real`").into()
}
