//! `republish`: the records of an old version, as the newest one.

use cenote_producer::{Cycled, Producer, Version};
use cenote_store::cli::{DatasetArgs, Failure, print_line};
use cenote_store::log::LogReader;
use clap::Args;
use serde_json::json;

use super::OwnerArgs;
use super::counts::Counts;

/// Publish the records of an old version again, as the newest version
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Republish {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The version to publish again; `cenote-producer log` lists the versions
    version: u64,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
All types get the records that they had in that version, under today's schema. Readers see one more version.

Examples:
  cenote-producer republish ./catalog 2
  cenote-producer republish s3://media/catalog 2 --json";

impl Republish {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Read first, because opening a producer on a wrong URL would make a dataset.
        let storage = self.dataset.storage().await?;
        LogReader::start(storage.clone()).await?;
        let builder = self.owner.apply(Producer::builder_on(storage));
        let opened = builder.declare_with(|dataset, registry| Ok(registry.with_schema(dataset))).open().await;
        let mut producer = opened.map_err(|error| Failure::of(error.kind(), &error))?;
        super::say_goodbye_when_stopped(&producer);
        let republished = producer.republish(Version(self.version)).await;
        // Closed after a failure as well, so that the next producer need not wait.
        let closed = producer.close().await;
        let republished = republished.map_err(|error| Failure::of(error.kind(), &error))?;
        closed.map_err(|error| Failure::of(error.kind(), &error))?;
        let counts = Counts::new(&producer.view(), None, &republished);
        print_line(if self.json { self.as_json(&counts, &republished) } else { self.as_text(&counts, &republished) })
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
        let mut result = counts.as_json(&self.dataset.url, republished);
        result["republishes"] = json!(self.version);
        result.to_string()
    }
}
