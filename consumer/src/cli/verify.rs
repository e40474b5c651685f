//! `verify`: proof that a version is whole.

use cenote_consumer::{Verified, Version, verify};
use cenote_store::cli::{DatasetArgs, Failure, counted, print_line};
use cenote_store::env::Env;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Read everything that a version names again, and work every digest out from its records
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The version; the newest by default
    #[arg(long)]
    version: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Walks the log from its floor to its tail, reads every snapshot up to the version, applies every delta, hashes every
record, looks every key up, and counts every reference. Exit code 1 names the first damage. Keys that lead to no record
are counted, too; they are no damage.

Examples:
  cenote-consumer verify ./catalog
  cenote-consumer verify s3://media/catalog --version 42 --json";

impl Verify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let storage = self.dataset.storage().await?;
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}%").expect("the template is sound");
        let bar = ProgressBar::new(1).with_style(style);
        let progress = |what: &'static str, done: u64, of: u64| {
            bar.set_message(what);
            bar.set_length(of);
            bar.set_position(done);
        };
        let verified = verify(&storage, &Env::system(), self.version.map(Version), &progress).await;
        bar.finish_and_clear();
        let verified = verified?;
        if self.json {
            return print_line(as_json(&self.dataset.url, &verified));
        }
        as_text(&verified).iter().try_for_each(print_line)
    }
}

fn as_text(verified: &Verified) -> Vec<String> {
    let snapshots: Vec<String> = verified.snapshots.iter().map(ToString::to_string).collect();
    let snapshots =
        if snapshots.is_empty() { "none".to_owned() } else { format!("of version {}", snapshots.join(", ")) };
    let mut lines = vec![
        format!("log        positions {} to {}: the chain of hashes is whole", verified.first, verified.last),
        format!("snapshots  {snapshots}"),
        format!("deltas     {} applied, each with the digests of its commit", HumanCount(verified.deltas)),
    ];
    for of_type in &verified.types {
        let found = if of_type.is_root {
            "each found by its key".to_owned()
        } else {
            format!("all referred to, {} times", HumanCount(of_type.references))
        };
        let dangling = match of_type.dangling_keys {
            0 => String::new(),
            some => format!("; {} no record", counted_lead(some)),
        };
        lines.push(format!("{}: {} hashed, {found}{dangling}", of_type.name, counted(of_type.records, "record")));
    }
    lines.push(format!(
        "version {} is whole: digest {:032x}, {} read",
        verified.version,
        verified.digest,
        counted(verified.bytes, "byte")
    ));
    lines
}

fn counted_lead(keys: u64) -> String {
    if keys == 1 { "1 key leads to".to_owned() } else { format!("{} keys lead to", HumanCount(keys)) }
}

fn as_json(dataset: &str, verified: &Verified) -> Value {
    let types: Vec<Value> = verified
        .types
        .iter()
        .map(|of_type| {
            json!({
                "type": of_type.name,
                "kind": if of_type.is_root { "root" } else { "component" },
                "records": of_type.records,
                "references": of_type.references,
                "dangling_keys": of_type.dangling_keys,
            })
        })
        .collect();
    json!({
        "dataset": dataset,
        "whole": true,
        "version": verified.version,
        "committed_at": verified.committed_at.to_rfc3339(),
        "digest": format!("{:032x}", verified.digest),
        "first_position": verified.first,
        "last_position": verified.last,
        "snapshots": verified.snapshots,
        "deltas": verified.deltas,
        "bytes": verified.bytes,
        "types": types,
    })
}
