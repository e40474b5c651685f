//! Every strategy gets there on real servers, also when those are stopped and started again.
//!
//! The fault table's outages are switches in this process, since its runs go on side by side and share the servers. Here
//! the servers themselves go away, one test at a time. Without servers a test prints that and does nothing.

use std::sync::Arc;
use std::time::Duration;

use cenote_bench_cqrs::clock;
use cenote_bench_cqrs::domain::World;
use cenote_bench_cqrs::faults;
use cenote_bench_cqrs::real::{Server, Servers};
use cenote_bench_cqrs::settings::Settings;
use cenote_bench_cqrs::strategy::{BrokerKind, Running, Stage, StoreKind, Strategy, WriteKind};
use tokio::sync::Mutex;

/// A server that one test stops is another test's, too.
static SERVERS: Mutex<()> = Mutex::const_new(());
const PATIENCE: Duration = Duration::from_secs(90);

fn servers(wanted: &[Server]) -> Option<Servers> {
    let servers = Servers::find();
    if let Some(missing) = wanted.iter().find(|server| !servers.has(**server)) {
        println!("skipped: no {}; run benches/cqrs/services/up", missing.name());
        return None;
    }
    Some(servers)
}

struct Run {
    world: World,
    running: Arc<dyn Running>,
    what: String,
    _folder: tempfile::TempDir,
}

impl Run {
    async fn start(strategy: Strategy, broker: BrokerKind, store: StoreKind) -> Run {
        let (folder, world) = (tempfile::tempdir().unwrap(), World::new(300, 20, 7));
        let mut stage = Stage::embedded(folder.path().to_owned(), world.clone(), Settings::BRISK);
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        stage.name = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        (stage.write, stage.broker, stage.store) = (WriteKind::Postgres, broker, store);
        let what = format!("{} by {broker:?} to {store:?}", strategy.name());
        let running = strategy.start(&stage).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        Run { world, running, what, _folder: folder }
    }

    /// Commands from several clients at the same time; how many were carried out.
    async fn commands(&self, stream: u64) -> usize {
        let clients = (0..4).map(|client| {
            let (running, commands) = (&self.running, self.world.commands(stream * 4 + client).take(50));
            async move {
                let mut done = 0;
                for command in commands {
                    done += usize::from(running.execute(&command).await.is_ok());
                }
                done
            }
        });
        futures::future::join_all(clients).await.into_iter().sum()
    }

    async fn is_right(&self) {
        // A read while a server comes back may fail: read again.
        let began = clock::now();
        while let Err(error) = self.running.reading().await {
            assert!(began.elapsed() < PATIENCE, "{}: {error}", self.what);
            clock::sleep(Duration::from_millis(100)).await;
        }
        let settled =
            faults::settle(&*self.running, PATIENCE).await.unwrap_or_else(|error| panic!("{}: {error}", self.what));
        assert!(settled, "{}: {:?}", self.what, self.running.reading().await);
        let wrong = faults::differences(&*self.running, &self.world, 1).await.unwrap();
        assert!(wrong.is_empty(), "{}: {}", self.what, wrong[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_strategy_gets_there() {
    use {BrokerKind as B, StoreKind as S};
    let _alone = SERVERS.lock().await;
    let first =
        Strategy::ALL.into_iter().filter(|strategy| !strategy.is_cenote()).map(|own| (own, B::Rabbitmq, S::Postgres));
    let others = [
        (Strategy::Outbox, B::Rabbitmq, S::Redis),
        (Strategy::Cdc, B::Kafka, S::Redis),
        (Strategy::Async, B::Kafka, S::Postgres),
        (Strategy::Outbox, B::Nats, S::Redis),
        (Strategy::Outbox, B::Rabbitmq, S::Cassandra),
        (Strategy::Polling, B::Embedded, S::Redis),
        (Strategy::EventSourced, B::Embedded, S::Redis),
        (Strategy::EventSourced, B::Embedded, S::Cassandra),
    ];
    let cenote =
        ["cenote-cycle", "cenote-update"].map(|name| (Strategy::find(name).unwrap(), B::Embedded, S::Postgres));
    let mut ran = 0;
    for (strategy, broker, store) in first.chain(others).chain(cenote) {
        let broker_server = match broker {
            B::Embedded => Server::Postgres,
            B::Rabbitmq => Server::Rabbitmq,
            B::Kafka => Server::Kafka,
            B::Nats => Server::Nats,
        };
        let store_server = match store {
            S::Redis => Server::Redis,
            S::Cassandra => Server::Cassandra,
            _ => Server::Postgres,
        };
        if servers(&[Server::Postgres, broker_server, store_server]).is_none() {
            continue;
        }
        let run = Run::start(strategy, broker, store).await;
        println!("{}", run.what);
        assert!(run.commands(0).await > 100, "{}: some break rules, most don't", run.what);
        run.is_right().await;
        run.running.stop().await;
        ran += 1;
    }
    // If `CENOTE_SERVICES` is set, the servers must be there.
    assert!(ran > 0 || std::env::var_os("CENOTE_SERVICES").is_none(), "no server was found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_stopped_between_commit_and_publish_loses_nothing_of_an_outbox() {
    let _alone = SERVERS.lock().await;
    for (server, broker) in
        [(Server::Rabbitmq, BrokerKind::Rabbitmq), (Server::Kafka, BrokerKind::Kafka), (Server::Nats, BrokerKind::Nats)]
    {
        let Some(servers) = servers(&[Server::Postgres, server]) else { continue };
        let run = Run::start(Strategy::Outbox, broker, StoreKind::Postgres).await;
        println!("{}", run.what);
        run.commands(0).await;
        servers.stop(server).await.unwrap();
        // Committed, acknowledged, and with nowhere to go.
        assert!(run.commands(1).await > 100, "commands do not need the broker");
        servers.start(server).await.unwrap();
        run.commands(2).await;
        run.is_right().await;
        run.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_store_that_is_restarted_catches_up() {
    let _alone = SERVERS.lock().await;
    for (server, store) in [(Server::Redis, StoreKind::Redis), (Server::Cassandra, StoreKind::Cassandra)] {
        let Some(servers) = servers(&[Server::Postgres, Server::Rabbitmq, server]) else { continue };
        let run = Run::start(Strategy::Outbox, BrokerKind::Rabbitmq, store).await;
        println!("{}", run.what);
        run.commands(0).await;
        servers.stop(server).await.unwrap();
        assert!(run.commands(1).await > 100, "commands do not need the read store");
        servers.start(server).await.unwrap();
        run.commands(2).await;
        run.is_right().await;
        let dead = run.running.reading().await.unwrap().dead_letters;
        assert_eq!(dead, 0, "{}: a store that is away makes no dead letters", run.what);
        run.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted_loses_no_captured_change() {
    let _alone = SERVERS.lock().await;
    let Some(servers) = servers(&[Server::Postgres, Server::Rabbitmq]) else { return };
    let run = Run::start(Strategy::Cdc, BrokerKind::Rabbitmq, StoreKind::Postgres).await;
    run.commands(0).await;
    servers.stop(Server::Postgres).await.unwrap();
    assert_eq!(run.commands(1).await, 0, "nothing is acknowledged that is not durable");
    servers.start(Server::Postgres).await.unwrap();
    run.commands(2).await;
    run.is_right().await;
    run.running.stop().await;
}
