//! `republish`: the records of an old version, as the newest one.

use crate::{CycleError, Cycled, Producer, Version};
use cenote_store::cli::{DatasetArgs, Failure, chain, print_line};
use cenote_store::log::LogReader;
use clap::Args;
use serde_json::json;

use super::counts::Counts;
use super::limits::{LimitArgs, Limits};
use super::{OwnerArgs, preview, snapshot_made};

/// Publish the records of an old version again, as the newest version
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Republish {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The version to publish again; `cenote-producer log` lists the versions
    version: u64,
    #[command(flatten)]
    limits: LimitArgs,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
All types get the records that they had in that version, under today's schema. Readers see one more version.
What was added since is removed again, so the limits hold here as well.

Examples:
  cenote-producer republish ./catalog 2
  cenote-producer republish ./catalog 2 --dry-run
  cenote-producer republish ./catalog 2 --max-removed 50%
  cenote-producer republish s3://media/catalog 2 --json

Exit code: 0 success, also if nothing changed; 1 failure, also if a limit refused the version; 2 wrong use.";

impl Republish {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Read first, because opening a producer on a wrong URL would make a dataset.
        let storage = self.dataset.storage().await?;
        LogReader::start(storage.clone()).await?;
        let builder = self.owner.apply(Producer::builder_on(storage));
        let builder = builder.declare_with(|dataset, registry| Ok(registry.with_schema(dataset)));
        let builder = builder.validate(Limits(self.limits.clone()));
        let version = Version(self.version);
        if self.dry_run {
            let preview = builder.dry_run().await?.republish(version).await.map_err(explained)?;
            let counts = Counts::new(&preview.newer, None, preview.report.as_ref());
            return match self.json {
                true => print_line(preview::as_json(&preview, &self.dataset.url, &counts)),
                false => preview::print(&preview),
            };
        }
        let opened = builder.open().await;
        let mut producer = opened.map_err(|error| Failure::of(error.kind(), &error))?;
        let republished = producer.republish(version).await;
        // Closed after a failure as well, so that the next producer need not wait.
        let closed = producer.close().await;
        let republished = republished.map_err(explained)?;
        closed.map_err(|error| Failure::of(error.kind(), &error))?;
        let counts = Counts::new(&producer.view(), None, republished.committed());
        print_line(if self.json { self.as_json(&counts, &republished) } else { self.as_text(&counts, &republished) })?;
        snapshot_made(&producer)
    }

    fn as_text(&self, counts: &Counts, republished: &Cycled) -> String {
        let (old, new) = (self.version, republished.version());
        match republished.committed() {
            None => format!("unchanged: version {new} has the same records as version {old}; nothing was written"),
            Some(report) => {
                let changes = counts.shown("all root types", report.delta_bytes, report.schema_changed);
                format!("version {new} is version {old} again: {changes} in {:.3} s", report.took.as_secs_f64())
            }
        }
    }

    fn as_json(&self, counts: &Counts, republished: &Cycled) -> String {
        let mut result = counts.as_json(&self.dataset.url, republished.version(), republished.committed());
        result["republishes"] = json!(self.version);
        result.to_string()
    }
}

/// The error for people: what the limits say, without the library's words around it.
pub(super) fn explained(error: CycleError) -> Failure {
    match error.validation() {
        Some(refused) => {
            let said = refused.refusals.iter().map(|refused| chain(refused.reason.as_ref()));
            Failure::negative(said.collect::<Vec<_>>().join("; "))
        }
        None => Failure::of(error.kind(), &error),
    }
}
