//! Memory of a consumer, in bytes per record: as the engine counts it, and as the system sees it.
//!
//! `cargo run --release -p cenote-bench-engine --bin memory -- [RECORDS] [--json]`. The catalog is published to a folder; a process
//! of its own opens it, so that what it holds is the consumer's. The two figures agree within 10 %, or it exits with 1.

use std::error::Error;
use std::process::{Command, ExitCode};

use cenote_bench_engine::peers::cenote::Movie;
use cenote_bench_engine::workload::Catalog;
use cenote_consumer::Consumer;
use cenote_producer::{Producer, Snapshots};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, url] = arguments.as_slice()
        && first == "--consume"
    {
        return consume(url).await.map(|()| ExitCode::SUCCESS);
    }
    if arguments.iter().any(|argument| argument == "--help") {
        println!("usage: memory [RECORDS] [--json]      (default: 1000000 records)");
        return Ok(ExitCode::SUCCESS);
    }
    let records =
        arguments.iter().find(|argument| !argument.starts_with("--")).map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let url = folder.path().display().to_string();
    publish(&url, records).await?;
    let told = Command::new(std::env::current_exe()?).args(["--consume", &url]).output()?;
    let told = String::from_utf8(told.stdout)?;
    let figures: Vec<f64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [counted, resident] = figures.as_slice() else { return Err(format!("the consumer said {told:?}").into()) };
    let (counted, resident) = (counted / records as f64, resident / records as f64);
    if arguments.iter().any(|argument| argument == "--json") {
        for (system, value) in [("counted", counted), ("resident", resident)] {
            let figure = "bytes_per_record";
            println!(
                r#"{{"figure":"{figure}","system":"cenote-{system}","records":{records},"value":{value:.1},"unit":"B"}}"#
            );
        }
    } else {
        println!("{records} records: {counted:.1} B each as counted, {resident:.1} B resident");
    }
    Ok(if (resident / counted - 1.0).abs() <= 0.10 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn publish(url: &str, records: u64) -> Outcome<()> {
    let mut producer = Producer::builder(url).with::<Movie>().snapshots(Snapshots::ByHand).open().await?;
    let catalog = Catalog::new(records);
    let filled = producer.cycle(async |writer| {
        catalog.movies().try_for_each(|movie| writer.add(&Movie::from(&movie)))?;
        Ok(())
    });
    filled.await?;
    producer.snapshot().await?;
    Ok(producer.close().await?)
}

/// Prints bytes counted, and bytes that the process grew by.
async fn consume(url: &str) -> Outcome<()> {
    let before = resident_bytes()?;
    let consumer = Consumer::builder(url).with::<Movie>().manual().open().await?;
    let counted: usize = consumer.view().state().memory().iter().map(|of_type| of_type.bytes()).sum();
    println!("{counted} {}", resident_bytes()? - before);
    Ok(())
}

/// Memory that is its own: pages of the program itself, which come in as it runs, are no part of the state.
fn resident_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("/proc/self/status has RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
