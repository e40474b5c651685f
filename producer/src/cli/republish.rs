//! `republish`: the records of an old version, as the newest one.

use cenote_producer::{Cycled, Producer};
use cenote_state::ids::Version;
use cenote_store::log::LogReader;
use clap::Args;
use serde_json::json;

use super::run::Counts;
use super::{Failure, Place, Turn, print};

/// Commit the records of an old version anew, as the newest version
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Republish {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    turn: Turn,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// The version to bring back; `cenote-producer log` shows which there are
    version: u64,
}

const EXAMPLES: &str = "\
All types get the records that they had in that version, under today's schema. Readers see one more version.

Examples:
  cenote-producer republish --dataset ./catalog 2
  cenote-producer republish --dataset s3://media/catalog --json 2";

impl Republish {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Looked at first, so that a wrong URL doesn't make a dataset.
        let storage = self.place.storage().await?;
        LogReader::start(storage.clone()).await?;
        let builder = self.turn.take(Producer::builder_on(storage));
        let mut producer = builder.declare_with(|chain, registry| Ok(registry.with_schema(chain))).open().await?;
        let republished = producer.republish(Version(self.version)).await;
        // Also after a failure, so that the next producer need not wait.
        let closed = producer.close().await;
        let republished = republished?;
        closed?;
        let counts = Counts::new(&producer.view(), None, &republished);
        print(&if self.json { self.as_json(&counts, &republished) } else { self.as_text(&counts, &republished) })
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
        let mut result = counts.as_json(&self.place.dataset, republished);
        result["republishes"] = json!(self.version);
        result.to_string()
    }
}
