//! `gc`: deletes the objects that no entry names.

use crate::{Producer, SnapshotPolicy};
use cenote_store::cli::{DatasetArgs, Failure, counted, print_line};
use cenote_store::env::Env;
use cenote_store::log::order::Rules;
use cenote_store::log::retention::{sweep, sweep_checks, unnamed};
use cenote_store::storage::Listed;
use clap::Args;
use indicatif::HumanBytes;
use serde_json::json;

use super::OwnerArgs;

/// Delete what crashed and superseded producers left behind
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Gc {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
A producer that was killed leaves the object that it was about to name in the log: a delta, a snapshot, a checkpoint. What
the newest owner of the dataset left may still be named, so the command waits until no producer is alive, and takes the
dataset if there is something of that kind.

Examples:
  cenote-producer gc ./catalog --dry-run
  cenote-producer gc s3://media/catalog

Exit code: 0 nothing is left, or --dry-run; 1 failure.";

impl Gc {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (storage, rules) = (self.dataset.storage().await?, Rules::default());
        let found = unnamed(&storage, rules).await?;
        let all: Vec<&Listed> = found.garbage.iter().chain(&found.owners).collect();
        let bytes: u64 = all.iter().map(|listed| listed.size).sum();
        if self.dry_run {
            if !self.json {
                all.iter()
                    .try_for_each(|listed| print_line(format!("{}  {}", listed.name, HumanBytes(listed.size))))?;
            }
            return self.print(all.len() as u64, bytes, "would be deleted");
        }
        if !found.owners.is_empty() {
            let builder = self.owner.apply(Producer::builder_on(storage.clone())).snapshots(SnapshotPolicy::Manual);
            let opened = builder.declare_with(|dataset, registry| Ok(registry.with_schema(dataset))).open().await;
            let mut producer = opened?;
            let taken = producer.take_dataset().await;
            producer.close().await?;
            taken?;
        }
        let deleted = sweep(&storage, rules).await?;
        sweep_checks(&storage, Env::system().now()).await?;
        self.print(deleted, bytes, "deleted")
    }

    fn print(&self, objects: u64, bytes: u64, what: &str) -> Result<(), Failure> {
        if self.json {
            return print_line(json!({ "objects": objects, "bytes": bytes, "dry_run": self.dry_run }));
        }
        print_line(format!("{} of {} {what}", counted(objects, "object"), HumanBytes(bytes)))
    }
}
