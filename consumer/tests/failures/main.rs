//! The table of failures in the documentation, row by row, against stores that answer exactly so.
//!
//! Each row's cause is a scenario here; a row without a scenario fails, and so does a scenario without a row.

mod scenarios;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use cenote_consumer::{Consumer, OnEmpty, ReloadPolicy};
use cenote_producer::{Producer, Record};
use cenote_store::cli::exit_code;
use cenote_store::env::Env;
use cenote_store::error::{ErrorKind, with_sources};

use scenarios::{SCENARIOS, Scenario, Side};

const PAGE: &str = include_str!("../../../shared/store/src/docs/failures.md");

/// A failure is reported long before the commit timeout of 60 s.
const SOON: Duration = Duration::from_secs(30);

#[derive(Record)]
#[record(key = "id")]
struct Movie {
    id: u64,
}

/// A row of the table.
struct Row {
    cause: String,
    text: String,
    kind: String,
    code: u8,
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("| cause |")).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [cause, text, kind, code] = cells[..] else { panic!("four cells, please: {line}") };
        let plain = |cell: &str| cell.replace('`', "");
        Row { cause: plain(cause), text: plain(text), kind: kind.to_owned(), code: code.parse().expect("a number") }
    });
    rows.collect()
}

/// Whether `text` holds the pieces of `wanted` between its `…`, in order.
fn holds(text: &str, wanted: &str) -> bool {
    let mut rest = text.replace('`', "");
    wanted.split('…').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = rest.split_off(at + piece.len());
            true
        }
        None => false,
    })
}

/// What a library's `open` says.
async fn opened(scenario: &Scenario) -> (ErrorKind, String) {
    let env = Env::system();
    let started = env.instant();
    let storage = scenario.storage().await;
    let failed = match (scenario.side, storage) {
        (_, Err(error)) => (error.kind(), error.to_string()),
        (Side::Producer, Ok(storage)) => {
            let builder = Producer::builder_on(storage).with::<Movie>().commit_timeout(Duration::from_secs(2));
            let error = builder.open().await.expect_err("it must not open");
            (error.kind(), with_sources(&error))
        }
        (Side::Consumer, Ok(storage)) => {
            let builder = Consumer::builder_on(storage).with::<Movie>().reload(ReloadPolicy::Manual);
            let error = builder.when_empty(OnEmpty::Wait(Duration::ZERO)).open().await.expect_err("it must not open");
            (error.kind(), with_sources(&error))
        }
    };
    assert!(env.instant() - started < SOON, "{failed:?} after {:?}", env.instant() - started);
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_what_happens() {
    let rows = rows();
    let causes: BTreeSet<&str> = rows.iter().map(|row| row.cause.as_str()).collect();
    let known: BTreeSet<&str> = SCENARIOS.iter().map(|(cause, _)| *cause).collect();
    assert_eq!(causes, known);
    let mut wrong = Vec::new();
    for row in rows {
        let (_, make) = SCENARIOS.iter().find(|(cause, _)| *cause == row.cause).expect("they are the same");
        let scenario = make();
        let (kind, text) = opened(&scenario).await;
        if !holds(&text, &row.text) || format!("{kind:?}") != row.kind || exit_code(kind) != row.code {
            wrong.push(format!("{}: {kind:?}, {}: {text}", row.cause, exit_code(kind)));
        }
        if let Some((code, text)) = run(&scenario)
            && (code != i32::from(row.code) || !holds(&text, &row.text))
        {
            wrong.push(format!("{}: the program ends with {code}: {text}", row.cause));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the program says, and how it ends; `None` if it only reads and the failure is one of writing, or is injected.
fn run(scenario: &Scenario) -> Option<(i32, String)> {
    if scenario.is_injected() || scenario.side == Side::Producer {
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-consumer"));
    command.env_clear().args(["stats", &scenario.url]);
    for (key, value) in &scenario.options {
        command.arg("--option").arg(format!("{key}={value}"));
    }
    let output = command.output().expect("the binary runs");
    let text = String::from_utf8(output.stderr).expect("output is UTF-8");
    Some((output.status.code().expect("it was not killed"), text))
}

/// The certificate of a CA that only this option makes known.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_of_ones_own_is_trusted_when_it_is_named() {
    let server = cenote_testing::scripted_server::ScriptedServer::start_tls(|_| None);
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = folder.path().join("ca.pem");
    std::fs::write(&bundle, cenote_testing::scripted_server::CA_PEM).expect("it can be written");
    let bundle = bundle.to_str().expect("it is UTF-8");
    let mut builder = Producer::builder(server.url("catalog")).with::<Movie>().storage_option("ca_bundle", bundle);
    for (key, value) in server.options() {
        builder = builder.storage_option(key, value);
    }
    let mut producer = builder.open().await.expect("the certificate is trusted");
    producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await.expect("it is published");
    producer.close().await.expect("it closes");
    for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-consumer"));
        command.env_clear().env(variable, bundle).args(["stats", &server.url("catalog")]);
        for (key, value) in server.options() {
            command.env(key.to_ascii_uppercase(), value);
        }
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{variable}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A bit that was flipped on the way is read again, and no damage is reported.
#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_way_is_read_again() {
    use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};
    let env = Env::system();
    let storage = cenote_store::storage::Storage::open("memory://damage-on-the-way", &[]).await.expect("it opens");
    let mut producer = Producer::builder_on(storage.clone()).with::<Movie>().open().await.expect("it opens");
    for id in 0..3 {
        producer.update(|changes| Ok(changes.upsert(&Movie { id })?)).await.expect("it is published");
    }
    producer.close().await.expect("it closes");
    for nth in 1..12 {
        let faults = FaultyStore::new(env.clone());
        faults.add(Rule::new(Fault::FlipBit(700)).on(RequestKind::Get).nth(nth));
        let builder = Consumer::builder_on(faults.wrap(&storage)).with::<Movie>().reload(ReloadPolicy::Manual);
        let consumer = builder.when_empty(OnEmpty::Wait(Duration::ZERO)).open().await;
        let consumer = consumer.unwrap_or_else(|error| panic!("read {nth}: {}", with_sources(&error)));
        assert_eq!(consumer.view().len::<Movie>(), 3);
    }
}
