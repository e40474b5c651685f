//! `repair`: what of a damaged dataset is whole, and a writable dataset made of it.

use crate::repair::{self, Assessment, Repaired};
use cenote_store::cli::{DatasetArgs, Failure, counted, print_line};
use cenote_store::env::Env;
use clap::Args;
use serde_json::{Value, json};

use super::OwnerArgs;

/// Say what of a damaged dataset is whole, and make it writable again
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Repair {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Only say what is whole and what is lost
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
A dataset that a producer can open is left as it is: opening goes around damaged snapshots and checkpoints. Otherwise the
newest version that is whole becomes the first of a new dataset under the same URL, whose first version has the tag
ancestor. What was there is moved to the folder aside/ in the dataset; delete it when nothing of it is missed. Services
must open the dataset again, because it is another one.

Examples:
  cenote-producer repair ./catalog --dry-run
  cenote-producer repair s3://media/catalog

Exit code: 0 the dataset is writable; 1 it is not: with --dry-run it needs a repair, without it could not be repaired.";

impl Repair {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (storage, env) = (self.dataset.storage().await?, Env::system());
        let assessment = repair::assess(&storage, &env).await?;
        let mut shown = self.as_json(&assessment);
        if !self.json {
            print_assessment(&assessment)?;
        }
        if assessment.is_writable || self.dry_run {
            if self.json {
                print_line(shown)?;
            }
            return match assessment.is_writable {
                true => Ok(()),
                false => Err(Failure::negative("the dataset needs a repair; run the command without --dry-run")),
            };
        }
        let repaired = repair::repair(&storage, &env, assessment, &self.owner.owner, self.owner.take_over).await?;
        let Repaired { dataset, version, aside, objects } = repaired;
        if self.json {
            shown["repaired"] =
                json!({ "dataset": dataset.to_string(), "version": version, "aside": aside, "objects": objects });
            return print_line(shown);
        }
        print_line(format!("repaired: dataset {dataset}, version {version}"))?;
        print_line(format!("what was there is in {aside}: {}", counted(objects, "object")))
    }

    fn as_json(&self, found: &Assessment) -> Value {
        json!({
            "dataset": found.dataset.to_string(),
            "url": self.dataset.url,
            "writable": found.is_writable,
            "whole": found.whole,
            "lost": found.lost,
            "damage": found.damage,
        })
    }
}

fn print_assessment(found: &Assessment) -> Result<(), Failure> {
    for damage in &found.damage {
        print_line(format!("damaged: {damage}"))?;
    }
    match found.whole {
        Some(version) if version.0 > 0 => {
            print_line(format!("whole: version {version}, committed {}", found.committed_at.to_rfc3339()))?;
        }
        Some(_) => print_line("whole: no version was committed yet")?,
        None => print_line("whole: no version")?,
    }
    if let (Some(first), Some(last)) = (found.lost.first(), found.lost.last()) {
        let count = counted(found.lost.len() as u64, "version");
        print_line(format!("lost: {count}, {first} to {last}"))?;
    }
    if found.is_writable { print_line("a producer can open the dataset; nothing needs a repair") } else { Ok(()) }
}
