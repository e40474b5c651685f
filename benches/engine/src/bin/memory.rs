//! Memory of a consumer, in bytes per record: as the engine counts it, and as the kernel does.
//!
//! ```text
//! cargo run --release -p cenote-bench-engine --bin memory -- [RECORDS] [--json]
//! ```
//!
//! One process publishes the catalog to a folder; another opens it, so that its memory is the consumer's. The exit code is
//! 1 if the two figures differ by more than 10 %.

use std::error::Error;
use std::process::{Command, ExitCode};

use cenote_bench_engine::peers::cenote::Movie;
use cenote_bench_engine::workload::Catalog;
use cenote_bench_support::machine::process_memory;
use cenote_bench_support::numbers::count;
use cenote_consumer::{Consumer, ReloadPolicy};
use cenote_producer::{Producer, SnapshotPolicy};
use clap::Parser;
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measure the memory of a consumer per record of the catalog.
#[derive(Parser)]
struct Cli {
    /// Number of records.
    #[arg(default_value_t = 1_000_000)]
    records: u64,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
    /// Open the dataset at this URL and print the two figures: the other process.
    #[arg(long, value_name = "URL", hide = true)]
    consume: Option<String>,
}

#[tokio::main]
async fn main() -> Outcome<ExitCode> {
    let Cli { records, json, consume: url } = Cli::parse();
    if let Some(url) = url {
        return consume(&url).await.map(|()| ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let url = folder.path().display().to_string();
    publish(&url, records).await?;
    let printed = Command::new(std::env::current_exe()?).args(["--consume", &url]).output()?;
    let printed = String::from_utf8(printed.stdout)?;
    let figures: Vec<f64> = printed.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [counted, resident] = figures.as_slice() else {
        return Err(format!("the consuming process printed {printed:?}, expected two numbers").into());
    };
    let (counted, resident) = (counted / records as f64, resident / records as f64);
    if json {
        for (system, value) in [("cenote-counted", counted), ("cenote-resident", resident)] {
            let value = (value * 10.0).round() / 10.0;
            let figure = "bytes_per_record";
            println!(
                "{}",
                json!({"figure": figure, "system": system, "records": records, "value": value, "unit": "B"})
            );
        }
    } else {
        println!("{} records: {counted:.1} B each as counted, {resident:.1} B resident", count(records));
    }
    Ok(if (resident / counted - 1.0).abs() <= 0.10 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Opens the dataset; prints the bytes that the engine counts and the growth of the process.
///
/// Anonymous memory only: pages of the program itself are read from its file as it runs.
async fn consume(url: &str) -> Outcome<()> {
    let before = process_memory()?.anonymous;
    let consumer = Consumer::builder(url).with::<Movie>().reload(ReloadPolicy::Manual).open().await?;
    let counted = consumer.view().state().memory_bytes();
    println!("{counted} {}", process_memory()?.anonymous - before);
    Ok(())
}
