//! The contracts of the parts: other implementations run the same checks.

use std::sync::Arc;
use std::time::Duration;

use super::broker::{Broker, Delivery, EmbeddedBroker, Envelope};
use super::domain::{Command, CommandError, Key, Message, Query, Rejected, World};
use super::read::{ReadStores, SqliteReadStores};
use super::write::{FeedKind, Hooks, Projection, SqliteWrite, WriteSide};

/// All hooks that go together.
const HOOKS: Hooks =
    Hooks { projection: Projection::All, outbox: true, watermark: true, capture: true, events_only: false };

async fn run(write: &dyn WriteSide, world: &World, count: usize) -> usize {
    let mut refused = 0;
    for command in world.commands(0).take(count) {
        match write.execute(&command).await {
            Ok((ack, message)) => assert_eq!((ack.key, ack.version), (message.key(), message.version)),
            Err(CommandError::Rejected(_)) => refused += 1,
            Err(CommandError::Failed(error)) => panic!("{error}"),
        }
    }
    refused
}

#[tokio::test]
async fn every_feed_leads_to_the_same_truth() {
    let world = World::new(300, 20, 7);
    for kind in [FeedKind::Outbox, FeedKind::Changes, FeedKind::Updated, FeedKind::Events] {
        let folder = tempfile::tempdir().unwrap();
        let hooks = if kind == FeedKind::Events { Hooks { events_only: true, ..Hooks::default() } } else { HOOKS };
        let write = SqliteWrite::open(folder.path(), hooks, Arc::clone(&world.reference)).unwrap();
        write.seed(&world).await.unwrap();
        let stores = SqliteReadStores::open(folder.path(), Arc::clone(&world.reference)).unwrap();
        let store = stores.open(1).await.unwrap();
        let mut seeded = Vec::new();
        let mut position = write.scan(Some(kind), &mut |message| seeded.push(message)).await.unwrap();
        store.apply(&seeded, Some(position)).await.unwrap();
        assert!(run(&write, &world, 500).await > 5, "some commands break rules");

        let feed = write.feed(kind).unwrap();
        loop {
            let fed = feed.next(position, 100).await.unwrap();
            let Some(last) = fed.last() else { break };
            let batch: Vec<_> = fed.iter().map(|fed| Message::decode(&fed.body).unwrap()).collect();
            let applied = store.apply(&batch, Some(last.position)).await.unwrap();
            // A watermark yields its last time again.
            if kind == FeedKind::Updated && applied.written == 0 {
                break;
            }
            position = last.position;
            feed.done(&fed).await.unwrap();
        }
        let (truth, reference) = (write.truth().await.unwrap(), &world.reference);
        for query in truth.questions(reference, world.page_ids()) {
            let found = store.queries().collect(query).await.unwrap();
            assert_eq!(found, truth.answer(query, reference), "{kind:?} {query:?}");
        }
    }
}

#[tokio::test]
async fn a_projection_in_the_transaction_is_never_behind() {
    let world = World::new(100, 10, 7);
    let folder = tempfile::tempdir().unwrap();
    let write = SqliteWrite::open(folder.path(), HOOKS, Arc::clone(&world.reference)).unwrap();
    write.seed(&world).await.unwrap();
    let store = write.read_stores().unwrap().open(0).await.unwrap();
    for command in world.commands(1).take(100) {
        let Ok((ack, _)) = write.execute(&command).await else { continue };
        if !matches!(command, Command::Unpublish { .. }) {
            assert_eq!(store.queries().collect(Query::of(ack.key)).await.unwrap().version(), ack.version);
        }
    }
}

/// What any write side rejects. The world has ten products and a page.
pub(crate) async fn write_side_keeps_the_rules(write: &dyn WriteSide, world: &World) {
    let before = write.truth().await.unwrap();
    let wrong = [
        Command::Stock { id: 1, by: -1_000 },
        Command::Price { id: 1, price_cents: 0 },
        Command::Rename { id: 99, name: "nobody".into() },
        Command::Add(world.product(1)),
        Command::Move { id: 1, category: 9_999 },
        Command::Unpublish { id: 9 },
        Command::Publish(super::domain::Page { id: 1, title: "t".into(), products: vec![1, 99] }),
    ];
    for command in wrong {
        let refused = write.execute(&command).await;
        assert!(matches!(refused, Err(CommandError::Rejected(_))), "{command:?}: {refused:?}");
    }
    assert_eq!(write.truth().await.unwrap(), before);
    let refused = write.execute(&Command::Stock { id: 1, by: -1_000 }).await;
    assert!(matches!(refused, Err(CommandError::Rejected(Rejected::OutOfStock { id: 1, .. }))));
}

#[tokio::test]
async fn commands_that_break_rules_change_nothing() {
    let world = World::new(10, 1, 7);
    for events_only in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let hooks = Hooks { events_only, ..Hooks::default() };
        let write = SqliteWrite::open(folder.path(), hooks, Arc::clone(&world.reference)).unwrap();
        write.seed(&world).await.unwrap();
        write_side_keeps_the_rules(&write, &world).await;
    }
}

/// The contract of any broker.
pub(crate) async fn broker_keeps_its_promises(broker: &dyn Broker) {
    // An upper bound: an answer comes as soon as there is one.
    let wait = Duration::from_secs(10);
    let envelope = |number: u64| Envelope { key: Key::Product(number % 3), body: number.to_string().into_bytes() };
    let one = broker.subscribe("one").await.unwrap();
    let two = broker.subscribe("two").await.unwrap();
    broker.publish(&(0..10).map(envelope).collect::<Vec<_>>()).await.unwrap();

    let first = one.receive(4, wait).await.unwrap();
    assert!(!first.is_empty() && first.len() <= 4, "prefetch is a limit");
    let acknowledged = first[0].envelope.clone();
    one.ack(&[first[0].tag]).await.unwrap();

    // A reader that dies: its unacknowledged messages are redelivered to the reader that joins next.
    drop(one);
    let one = broker.subscribe("one").await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 9 {
        let batch = one.receive(100, wait).await.unwrap();
        assert!(!batch.is_empty(), "after {seen:?}");
        seen.extend(batch);
    }
    let rest: Vec<_> = (0..10).map(envelope).filter(|envelope| *envelope != acknowledged).collect();
    assert_in_order(&seen, &rest);

    // Retried, then dead-lettered, then sent again.
    one.ack(&seen[1..].iter().map(|own| own.tag).collect::<Vec<_>>()).await.unwrap();
    one.retry(&[seen[0].tag]).await.unwrap();
    let again = one.receive(100, wait).await.unwrap();
    let letter = &seen[0].envelope;
    assert_eq!((again.len(), &again[0].envelope), (1, letter));
    assert!(again[0].attempt > 1);
    one.dead_letter(&again[0], "not to be read").await.unwrap();
    let dead = one.dead_letters().await.unwrap();
    assert_eq!((dead.len(), &dead[0].envelope), (1, letter));
    assert_eq!(dead[0].reason, "not to be read");
    let depth = one.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.dead), (0, 1));
    assert_eq!(one.redrive().await.unwrap(), 1);
    let back = one.receive(100, wait).await.unwrap();
    assert_eq!(back[0].envelope, *letter);
    one.ack(&[back[0].tag]).await.unwrap();
    assert_eq!(one.depth().await.unwrap(), super::broker::Depth::default());

    // The other subscription has everything; a broker with one log delivers the redriven message to it, too.
    let mut all = Vec::new();
    while all.len() < 10 {
        all.extend(two.receive(100, wait).await.unwrap());
    }
    assert_in_order(&all[..10], &(0..10).map(envelope).collect::<Vec<_>>());
    two.ack(&all.iter().map(|own| own.tag).collect::<Vec<_>>()).await.unwrap();
}

/// All of these were delivered, in order within each key.
fn assert_in_order(seen: &[Delivery], sent: &[Envelope]) {
    for key in [Key::Product(0), Key::Product(1), Key::Product(2)] {
        let found: Vec<_> = seen.iter().map(|seen| &seen.envelope).filter(|envelope| envelope.key == key).collect();
        assert_eq!(found, sent.iter().filter(|envelope| envelope.key == key).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_embedded_broker_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    broker_keeps_its_promises(&EmbeddedBroker::open(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn the_embedded_broker_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let envelope = Envelope { key: Key::Page(1), body: b"kept".to_vec() };
    {
        let broker = EmbeddedBroker::open(folder.path()).unwrap();
        broker.subscribe("one").await.unwrap();
        broker.publish(std::slice::from_ref(&envelope)).await.unwrap();
    }
    let broker = EmbeddedBroker::open(folder.path()).unwrap();
    let one = broker.subscribe("one").await.unwrap();
    assert_eq!(one.receive(1, Duration::ZERO).await.unwrap()[0].envelope, envelope);
}

/// The contract of any read store.
pub(crate) async fn read_stores_keep_their_promises(stores: &dyn ReadStores, world: &World) {
    use super::domain::{Cause, Change};
    let message = |version, change| Message { version, at: version, cause: Cause::Unknown, replay: false, change };
    let store = stores.open(0).await.unwrap();
    let product = world.product(1);
    let newer = super::domain::Product { name: "newer".into(), ..product.clone() };
    let batch = [message(2, Change::Product(newer)), message(1, Change::Product(product.clone()))];
    let applied = store.apply(&batch, Some(7)).await.unwrap();
    assert_eq!((applied.written, applied.stale), (1, 1), "what is older changes nothing");
    assert_eq!(store.position().await.unwrap(), 7);
    let found = store.queries().collect(Query::Product(1)).await.unwrap();
    assert_eq!((found.products[0].name.as_str(), found.version()), ("newer", 2));

    // A page that is gone stays gone, whatever comes late.
    let page = super::domain::Page { products: vec![1, 1], ..world.page(1) };
    store.apply(&[message(1, Change::Page(page.clone()))], None).await.unwrap();
    assert_eq!(store.queries().collect(Query::Page(1)).await.unwrap().products.len(), 2);
    store.apply(&[message(3, Change::PageGone(1)), message(2, Change::Page(page))], None).await.unwrap();
    assert_eq!(store.queries().collect(Query::Page(1)).await.unwrap(), Default::default());
    assert_eq!(store.position().await.unwrap(), 7, "no position, no change of it");

    // Generations are separate, and a corrupted row is shown.
    let second = stores.open(1).await.unwrap();
    assert_eq!(second.queries().collect(Query::Product(1)).await.unwrap(), Default::default());
    store.corrupt(Key::Product(1)).await.unwrap();
    let spoiled = store.queries().collect(Query::Product(1)).await.unwrap();
    assert!(spoiled != found && spoiled.version() == 2);
    stores.remove(1).await.unwrap();
    store.reconnect().await.unwrap();
    assert_eq!(store.queries().collect(Query::Product(1)).await.unwrap(), spoiled);
}

#[tokio::test]
async fn the_sqlite_read_store_keeps_its_promises() {
    let (folder, world) = (tempfile::tempdir().unwrap(), World::new(10, 1, 7));
    let stores = SqliteReadStores::open(folder.path(), Arc::clone(&world.reference)).unwrap();
    read_stores_keep_their_promises(&stores, &world).await;
}

#[tokio::test]
async fn a_near_cache_drops_what_changed_and_keeps_the_rest() {
    use super::domain::{Cause, Change, Product};
    use super::read::NearCache;
    let (folder, world) = (tempfile::tempdir().unwrap(), World::new(300, 3, 7));
    let stores = SqliteReadStores::open(folder.path(), Arc::clone(&world.reference)).unwrap();
    let store = stores.open(0).await.unwrap();
    let message = |version, change| Message { version, at: 0, cause: Cause::Unknown, replay: false, change };
    let all: Vec<_> = world.all_products().map(|product| message(1, Change::Product(product))).collect();
    store.apply(&all, None).await.unwrap();
    let (product, leaves) = (world.product(1), world.reference.leaves().collect::<Vec<_>>());
    let (here, there) = (product.category, *leaves.iter().find(|leaf| **leaf != product.category).unwrap());
    let cache = NearCache::new(store.queries());
    let shows = async |category| {
        let answer = cache.queries().collect(Query::Category(category)).await.unwrap();
        answer.products.iter().any(|card| card.id == 1)
    };
    assert!(shows(here).await && !shows(there).await);

    // It moves, and the store has it; the cache shows the old listings until it learns of the change.
    let moved = [message(2, Change::Product(Product { category: there, ..product }))];
    store.apply(&moved, None).await.unwrap();
    assert!(shows(here).await && !shows(there).await, "it answers from memory");
    cache.forget(&moved);
    assert!(!shows(here).await && shows(there).await, "it asks again");
    assert_eq!(cache.queries().collect(Query::Product(1)).await.unwrap().version(), 2);
}

/// A rebuilt read model knows which pages are gone: an older message does not restore one.
#[tokio::test]
async fn what_is_gone_stays_gone_through_a_rebuild() {
    use super::domain::{Cause, Change, Page};
    use super::read::Live;
    for events_only in [false, true] {
        let (folder, world) = (tempfile::tempdir().unwrap(), World::new(10, 2, 7));
        let hooks = Hooks { events_only, ..Hooks::default() };
        let write = SqliteWrite::open(folder.path(), hooks, Arc::clone(&world.reference)).unwrap();
        write.seed(&world).await.unwrap();
        let stores = Arc::new(SqliteReadStores::open(folder.path(), Arc::clone(&world.reference)).unwrap());
        let live = Live::open(stores, 0, Arc::default(), Arc::default()).await.unwrap();
        live.fill(&write, None).await.unwrap();

        let page = Page { id: 1, title: "late".into(), products: vec![1] };
        let (_, late) = write.execute(&Command::Publish(page)).await.unwrap();
        let (_, gone) = write.execute(&Command::Unpublish { id: 1 }).await.unwrap();
        live.apply(&[gone], None).await.unwrap();
        live.rebuild(&write, None).await.unwrap();
        live.apply(&[late], None).await.unwrap();
        let found = live.queries().collect(Query::Page(1)).await.unwrap();
        assert_eq!(found, Default::default(), "events only: {events_only}");

        // It comes back when it is published again.
        let again = Page { id: 1, title: "again".into(), products: vec![2] };
        let (ack, published) = write.execute(&Command::Publish(again)).await.unwrap();
        let message = super::domain::Message { cause: Cause::Unknown, ..published };
        assert!(matches!(message.change, Change::Page(_)));
        live.apply(&[message], None).await.unwrap();
        assert_eq!(live.queries().collect(Query::Page(1)).await.unwrap().version(), ack.version);
    }
}

/// What is committed and not published yet counts as lag: an audit waits for it, and operations see it.
#[tokio::test]
async fn what_waits_in_memory_is_lag() {
    use std::sync::atomic::Ordering::Relaxed;

    use super::faults::{differences, settle};
    use super::points::Point;
    use super::settings::Settings;
    use super::strategy::{Stage, Strategy};
    let (folder, world) = (tempfile::tempdir().unwrap(), World::new(20, 1, 7));
    let patient = Settings { publish_patience: Duration::from_mins(10), ..Settings::BRISK };
    let stage = Stage::embedded(folder.path().to_owned(), world.clone(), patient);
    let running = Strategy::Async.start(&stage).await.unwrap();
    let rename = |name: &str| Command::Rename { id: 1, name: name.to_owned() };
    let lag = async || running.reading().await.unwrap().lag_messages;

    stage.points.broker_down.store(true, Relaxed);
    running.execute(&rename("one")).await.unwrap();
    assert_eq!(lag().await, 1);
    stage.points.broker_down.store(false, Relaxed);
    assert!(settle(&*running, Duration::from_mins(1)).await.unwrap());
    assert_eq!(differences(&*running, &world, 1).await.unwrap(), []);

    // What was lost with the service is not waited for, and the audit finds it.
    stage.points.arm(Point::CommittedNotPublished, 1);
    running.execute(&rename("two")).await.unwrap();
    while stage.points.is_armed(Point::CommittedNotPublished) {
        tokio::task::yield_now().await;
    }
    assert!(settle(&*running, Duration::from_mins(1)).await.unwrap());
    assert_eq!(differences(&*running, &world, 1).await.unwrap().len(), 1);

    // The same if it is killed at an arbitrary point.
    stage.points.broker_down.store(true, Relaxed);
    running.execute(&rename("three")).await.unwrap();
    running.kill("service");
    stage.points.broker_down.store(false, Relaxed);
    assert!(settle(&*running, Duration::from_mins(1)).await.unwrap());
    assert_eq!(differences(&*running, &world, 1).await.unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn disk_use_is_counted_by_part() {
    let (folder, world) = (tempfile::tempdir().unwrap(), World::new(300, 20, 7));
    let write = SqliteWrite::open(folder.path(), HOOKS, Arc::clone(&world.reference)).unwrap();
    write.seed(&world).await.unwrap();
    let store = write.read_stores().unwrap().open(0).await.unwrap();
    let (_, before) = write.disk_bytes().await.unwrap();
    let empty = store.disk_bytes().await.unwrap();
    run(&write, &world, 1_000).await;
    let (_, after) = write.disk_bytes().await.unwrap();
    assert!(after > before && before > 0, "{before}, then {after}");
    assert!(store.disk_bytes().await.unwrap() > empty);
}
