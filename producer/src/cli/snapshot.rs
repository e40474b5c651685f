//! `snapshot`: a snapshot of the newest version, now.

use crate::{Producer, SnapshotPolicy};
use cenote_store::cli::{DatasetArgs, Failure, counted, print_line};
use cenote_store::log::LogReader;
use clap::Args;
use indicatif::HumanBytes;
use serde_json::json;

use super::OwnerArgs;

/// Make a snapshot of the newest version, and trim the log
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Snapshot {
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Producers make snapshots by themselves when they are due; this makes one after a snapshot was lost, or before many
services start. If the newest version has one, nothing is written.

Examples:
  cenote-producer snapshot ./catalog
  cenote-producer snapshot s3://media/catalog --json

Exit code: 0 the newest version has a snapshot; 1 it was not made, or the log not trimmed after it.";

impl Snapshot {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Read first, because opening a producer on a wrong URL would make a dataset.
        let storage = self.dataset.storage().await?;
        LogReader::start(storage.clone()).await?;
        let builder = self.owner.apply(Producer::builder_on(storage)).snapshots(SnapshotPolicy::Manual);
        let mut producer = builder.declare_with(|dataset, registry| Ok(registry.with_schema(dataset))).open().await?;
        let made = producer.snapshot().await;
        // Closed after a failure as well, so that the next producer need not wait.
        let closed = producer.close().await;
        let report = made?;
        closed?;
        if self.json {
            let result = json!({
                "version": report.version,
                "made": report.made,
                "bytes": report.bytes,
                "log_start": report.trimmed.log_start,
                "trimmed": report.trimmed.tombstones,
            });
            return print_line(result);
        }
        let (version, bytes) = (report.version, HumanBytes(report.bytes));
        if !report.made {
            return print_line(format!("version {version} has a snapshot of {bytes}; nothing was written"));
        }
        let trimmed = counted(report.trimmed.tombstones, "entry").replace("entrys", "entries");
        print_line(format!("snapshot of version {version}: {bytes}; {trimmed} trimmed"))
    }
}
