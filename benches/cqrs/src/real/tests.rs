//! The contracts of the parts on real servers. Without a server, a test prints that and does nothing.

use std::sync::Arc;
use std::time::Duration;

use super::{ResourceNames, Server, Servers};
use crate::cleanup::unique_name;
use crate::domain::{Command, CommandError, Key, Message, Query, World};
use crate::read::ReadStore;
use crate::settings::Settings;
use crate::tests::{broker_keeps_its_promises, read_stores_keep_their_promises, write_side_keeps_the_rules};
use crate::write::{FeedKind, Hooks, Projection, WriteSide};

const SETTINGS: Settings = Settings::BRISK;
/// All hooks that go together.
const HOOKS: Hooks =
    Hooks { projection: Projection::None, outbox: true, watermark: true, capture: true, events_only: false };

/// The servers, if these are among them.
fn servers(wanted: &[Server]) -> Option<Servers> {
    let servers = Servers::find();
    let missing = wanted.iter().find(|server| !servers.has(**server));
    if let Some(missing) = missing {
        println!("skipped: no {}; run benches/cqrs/services/up", missing.name());
        return None;
    }
    Some(servers)
}

#[test]
fn a_flag_wins_over_what_was_found() {
    let servers = Servers::find().with_addresses(&[("redis".to_owned(), "redis://elsewhere/".to_owned())]);
    assert_eq!(servers.address(Server::Redis).unwrap(), "redis://elsewhere/");
    assert_eq!(servers.memory_bytes(Server::Redis), None, "`up` has not started it");
}

#[test]
fn a_server_of_ours_takes_memory() {
    let Some(servers) = servers(&[Server::Postgres]) else { return };
    // Only if `up` has started it.
    let Some(bytes) = servers.memory_bytes(Server::Postgres) else { return };
    assert!(bytes > 1_000_000, "{bytes}: with its shared buffers");
}

async fn write_side(servers: &Servers, hooks: Hooks, world: &World) -> Arc<dyn WriteSide> {
    let name = unique_name("test");
    let names = ResourceNames { name: &name, keep: false };
    let write = servers.write_side(&names, hooks, Arc::clone(&world.reference), &SETTINGS).await.unwrap();
    write.seed(world).await.unwrap();
    write
}

/// Every question has the right answer.
async fn check(write: &dyn WriteSide, store: &dyn ReadStore, world: &World, what: &str) {
    let (truth, reference) = (write.truth().await.unwrap(), &world.reference);
    for query in truth.questions(reference, world.page_ids()) {
        let found = store.queries().collect(query).await.unwrap();
        assert_eq!(found, truth.answer(query, reference), "{what}: {query:?}");
    }
}

/// Commands from several clients at the same time, as a server has them.
async fn run(write: &Arc<dyn WriteSide>, world: &World, count: usize) {
    let clients = (0..4).map(|client| {
        let (write, commands) = (Arc::clone(write), world.commands(client).take(count / 4));
        async move {
            for command in commands {
                match write.execute(&command).await {
                    Ok((ack, message)) => assert_eq!((ack.key, ack.version), (message.key(), message.version)),
                    Err(CommandError::Rejected(_)) => {}
                    Err(CommandError::Failed(error)) => panic!("{command:?}: {error}"),
                }
            }
        }
    });
    futures::future::join_all(clients).await;
}

/// Applies everything of a feed to a store, batch by batch.
async fn drain(write: &dyn WriteSide, kind: FeedKind, store: &dyn ReadStore) {
    let feed = write.feed(kind).unwrap();
    let mut position = store.position().await.unwrap();
    loop {
        let fed = feed.next(position, 100).await.unwrap();
        let Some(last) = fed.last() else {
            if feed.waiting(position).await.unwrap() == 0 {
                break;
            }
            feed.wake(Duration::from_millis(20)).await;
            continue;
        };
        let batch: Vec<_> = fed.iter().map(|fed| Message::decode(&fed.body).unwrap()).collect();
        let applied = store.apply(&batch, Some(last.position)).await.unwrap();
        assert_eq!(applied.written + applied.stale, batch.len() as u64);
        feed.done(&fed).await.unwrap();
        // A watermark yields its last time again.
        if kind == FeedKind::Updated && applied.written == 0 {
            break;
        }
        position = last.position;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_feed_of_postgres_leads_every_store_to_the_truth() {
    for server in [Server::Postgres, Server::Redis, Server::Cassandra] {
        let Some(servers) = servers(&[Server::Postgres, server]) else { continue };
        let world = World::new(300, 20, 7);
        let name = unique_name("test");
        let names = ResourceNames { name: &name, keep: false };
        let stores = servers.read_stores(server, &names, Arc::clone(&world.reference), &SETTINGS).await.unwrap();
        for (number, kind) in
            [FeedKind::Outbox, FeedKind::Changes, FeedKind::Updated, FeedKind::Events].into_iter().enumerate()
        {
            let events = Hooks { events_only: true, ..Hooks::default() };
            let write = write_side(&servers, if kind == FeedKind::Events { events } else { HOOKS }, &world).await;
            let store = stores.open(number as u32).await.unwrap();
            let mut seeded = Vec::new();
            let position = write.scan(Some(kind), &mut |message| seeded.push(message)).await.unwrap();
            store.apply(&seeded, Some(position)).await.unwrap();
            run(&write, &world, 400).await;
            drain(&*write, kind, &*store).await;
            check(&*write, &*store, &world, &format!("{kind:?} to {server:?}")).await;
            assert!(store.disk_bytes().await.unwrap() > 0);
            stores.remove(number as u32).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_in_the_transaction_is_never_behind() {
    let Some(servers) = servers(&[Server::Postgres]) else { return };
    let world = World::new(100, 10, 7);
    let write = write_side(&servers, Hooks { projection: Projection::All, ..HOOKS }, &world).await;
    let store = write.read_stores().unwrap().open(0).await.unwrap();
    for command in world.commands(1).take(100) {
        let Ok((ack, _)) = write.execute(&command).await else { continue };
        if !matches!(command, Command::Unpublish { .. }) {
            assert_eq!(store.queries().collect(Query::of(ack.key)).await.unwrap().version(), ack.version);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_comes_sooner_than_its_product_is_kept() {
    let Some(servers) = servers(&[Server::Postgres]) else { return };
    let world = World::new(50, 5, 7);
    let write =
        write_side(&servers, Hooks { projection: Projection::Stock, outbox: true, ..Hooks::default() }, &world).await;
    let store = write.read_stores().unwrap().open(0).await.unwrap();
    let mut seeded = Vec::new();
    write.scan(None, &mut |message| seeded.push(message)).await.unwrap();
    store.apply(&seeded, None).await.unwrap();
    write.execute(&Command::Add(world.product(77))).await.unwrap();
    write.execute(&Command::Stock { id: 77, by: 5 }).await.unwrap();
    assert!(
        store.queries().collect(Query::Product(77)).await.unwrap().products.is_empty(),
        "its name is not known yet"
    );
    run(&write, &world, 200).await;
    drain(&*write, FeedKind::Outbox, &*store).await;
    check(&*write, &*store, &world, "stock first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_break_rules_change_nothing() {
    let Some(servers) = servers(&[Server::Postgres]) else { return };
    let world = World::new(10, 1, 7);
    for events_only in [false, true] {
        let write = write_side(&servers, Hooks { events_only, ..Hooks::default() }, &world).await;
        write_side_keeps_the_rules(&*write, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_takes_only_what_is_newer() {
    for server in [Server::Postgres, Server::Redis, Server::Cassandra] {
        let Some(servers) = servers(&[Server::Postgres, server]) else { continue };
        let world = World::new(20, 3, 7);
        let write = write_side(&servers, HOOKS, &world).await;
        let name = unique_name("test");
        let names = ResourceNames { name: &name, keep: false };
        let stores = servers.read_stores(server, &names, Arc::clone(&world.reference), &SETTINGS).await.unwrap();
        let store = stores.open(2).await.unwrap();
        let mut all = Vec::new();
        write.scan(None, &mut |message| all.push(message)).await.unwrap();
        for command in world.commands(0).take(200) {
            all.extend(write.execute(&command).await.map(|(_, message)| message));
        }
        // Backwards, in pieces, and then everything again.
        for piece in all.rchunks(17) {
            let backwards: Vec<_> = piece.iter().rev().cloned().collect();
            store.apply(&backwards, None).await.unwrap();
        }
        check(&*write, &*store, &world, server.name()).await;
        assert_eq!(store.apply(&all, Some(9)).await.unwrap().written, 0, "{server:?}");
        assert_eq!(store.position().await.unwrap(), 9);

        store.corrupt(Key::Product(1)).await.unwrap();
        store.corrupt(Key::Page(1)).await.unwrap();
        let spoiled = store.queries().collect(Query::Product(1)).await.unwrap();
        assert_eq!(spoiled.products[0].name, "spoiled by a script");
        store.reconnect().await.unwrap();
        assert!(store.queries().collect(Query::Product(2)).await.unwrap().products.len() == 1);
        read_stores_keep_their_promises(&*stores, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_keep_their_promises() {
    for server in [Server::Rabbitmq, Server::Kafka, Server::Nats] {
        let Some(servers) = servers(&[server]) else { continue };
        let broker = servers.broker(server, &SETTINGS).await.unwrap();
        println!("{}", server.name());
        broker_keeps_its_promises(&*broker).await;
    }
}

/// Nothing is left at the server: a slot without a reader would keep the log without bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_side_that_is_dropped_takes_its_slot_along() {
    let Some(servers) = servers(&[Server::Postgres]) else { return };
    let world = World::new(10, 1, 7);
    let write = write_side(&servers, HOOKS, &world).await;
    let feed = write.feed(FeedKind::Changes).unwrap();
    run(&write, &world, 20).await;
    feed.wake(Duration::from_secs(5)).await;
    assert!(!feed.next(0, 10).await.unwrap().is_empty());
    let url = servers.address(Server::Postgres).unwrap();
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    crate::clock::spawn(connection);
    let own = format!("cqrs\\_cqrs\\_{}\\_%", std::process::id());
    let sql = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE $1";
    let before: i64 = client.query_one(sql, &[&own]).await.unwrap().get(0);
    assert!(before > 0);
    drop((write, feed));
    let schema = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE $1";
    drop(client.query_one(schema, &[&own]).await.unwrap());
    let after: i64 = client.query_one(sql, &[&own]).await.unwrap().get(0);
    assert!(after < before, "{after} of {before} slots are left");
}
