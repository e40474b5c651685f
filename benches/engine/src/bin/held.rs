//! What a consumer fetches and holds, and how long it takes to start, by what its program declares.
//!
//! ```text
//! cargo run --profile dist -p cenote-bench-engine --bin held -- [RECORDS]
//! ```
//!
//! The catalog is published to a folder, with one snapshot; each line is a consumer that starts from it. Bytes are the same
//! on each machine; times are the median of five starts on this one.

use std::error::Error;
use std::io::stdout;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_bench_engine::peers::cenote::Movie;
use cenote_bench_engine::workload::Catalog;
use cenote_bench_support::numbers::count;
use cenote_bench_support::table::write_markdown;
use cenote_consumer::{Consumer, ConsumerBuilder, RefreshReport, ReloadPolicy};
use cenote_producer::{Producer, SnapshotPolicy};
use clap::Parser;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often each consumer starts.
const STARTS: usize = 5;

/// Measure what a consumer fetches and holds by what its program declares.
#[derive(Parser)]
struct Cli {
    /// Number of records.
    #[arg(default_value_t = 1_000_000)]
    records: u64,
}

/// The numbers of a movie, and no text.
mod numbers {
    use cenote_state::Record;

    #[derive(Record)]
    #[record(key = "id")]
    pub(super) struct Movie {
        id: u64,
        year: u16,
        rating: f32,
    }
}

/// What a list of results shows.
mod titles {
    use cenote_state::Record;

    #[derive(Record)]
    #[record(key = "id")]
    pub(super) struct Movie {
        id: u64,
        title: String,
        year: u16,
        rating: f32,
    }
}

/// Who plays in what.
mod casts {
    use cenote_state::Record;

    #[derive(Record)]
    #[record(key = "id")]
    pub(super) struct Movie {
        id: u64,
        cast: Vec<Actor>,
    }

    #[derive(Record)]
    pub(super) struct Actor {
        name: String,
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let records = Cli::parse().records;
    let folder = tempfile::tempdir()?;
    let url = folder.path().display().to_string();
    publish(&url, records).await?;
    let whole = start(|| Consumer::builder(&url).whole()).await?;
    let consumers = [
        ("everything (`.whole()`)", whole),
        ("all fields of all types", start(|| Consumer::builder(&url).with::<Movie>()).await?),
        ("id, cast with names", start(|| Consumer::builder(&url).with::<casts::Movie>()).await?),
        ("id, title, year, rating", start(|| Consumer::builder(&url).with::<titles::Movie>()).await?),
        ("id, year, rating", start(|| Consumer::builder(&url).with::<numbers::Movie>()).await?),
    ];
    let heading = ["declared", "held", "fetched", "of all", "memory", "of all", "start"].map(str::to_owned).to_vec();
    let share = |part: u64, all: u64| format!("{:.0} %", 100.0 * part as f64 / all as f64);
    let lines = consumers.iter().map(|(name, started)| {
        vec![
            (*name).to_owned(),
            started.held.clone(),
            format!("{} kB", count(started.fetched / 1_000)),
            share(started.fetched, whole_of(&consumers).fetched),
            format!("{:.0} B a record", started.memory as f64 / records as f64),
            share(started.memory, whole_of(&consumers).memory),
            format!("{:.0} ms", started.took.as_secs_f64() * 1_000.0),
        ]
    });
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(lines).collect();
    println!("{} records\n", count(records));
    Ok(write_markdown(&lines, &mut stdout())?)
}

fn whole_of<'s>(consumers: &'s [(&str, Started)]) -> &'s Started {
    &consumers[0].1
}

async fn publish(url: &str, records: u64) -> Outcome<()> {
    let mut producer = Producer::builder(url).with::<Movie>().snapshots(SnapshotPolicy::Manual).open().await?;
    let catalog = Catalog::new(records);
    let filled = producer.cycle(async |writer| {
        catalog.movies().try_for_each(|movie| writer.add(&Movie::from(&movie)))?;
        Ok(())
    });
    filled.await?;
    producer.snapshot().await?;
    Ok(producer.close().await?)
}

/// A consumer that started.
struct Started {
    held: String,
    /// Bytes read from the store.
    fetched: u64,
    memory: u64,
    /// From reading the log to the first view.
    took: Duration,
}

async fn start(builder: impl Fn() -> ConsumerBuilder) -> Outcome<Started> {
    let reports = Arc::<Mutex<Vec<RefreshReport>>>::default();
    let (mut held, mut memory) = (String::new(), 0);
    for _ in 0..STARTS {
        let noted = Arc::clone(&reports);
        let note = move |report: &RefreshReport| noted.lock().expect("noting does not panic").push(report.clone());
        let consumer = builder().reload(ReloadPolicy::Manual).on_refresh(note).open().await?;
        (held, memory) = (consumer.status().held.to_string(), consumer.view().memory_bytes());
        consumer.close().await;
    }
    let reports = reports.lock().expect("noting does not panic");
    let mut took: Vec<Duration> = reports.iter().map(|report| report.steps.total).collect();
    took.sort_unstable();
    let fetched = reports.first().map_or(0, |report| report.bytes);
    Ok(Started { held, fetched, memory, took: took[STARTS / 2] })
}
