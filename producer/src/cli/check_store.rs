//! `check-store`: whether a store can hold a dataset.

use cenote_store::cli::{DatasetArgs, Failure, print_line};
use cenote_store::env::Env;
use cenote_store::log::proof;
use clap::Args;
use serde_json::{Value, json};

/// Check whether a store does what a dataset needs
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckStore {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
It writes a few small objects to the folder check/ of the URL, lets writers race for some of them, and deletes them all. A
dataset that is there is not touched.

Examples:
  cenote-producer check-store s3://media/catalog
  cenote-producer check-store s3://media/catalog --option aws_endpoint=http://localhost:9000 --json

Exit code: 0 the store can hold a dataset; 1 it can't, or did not answer; 2 wrong use.";

impl CheckStore {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let storage = self.dataset.storage().await?;
        let checked = proof::check(&storage, &Env::system()).await;
        if self.json {
            let checks: Vec<Value> =
                checked.iter().map(|check| json!({ "check": check.what, "lack": check.lack })).collect();
            let is_fit = checked.iter().all(|check| check.lack.is_none());
            print_line(json!({ "url": self.dataset.url, "fit": is_fit, "checks": checks }))?;
        } else {
            for check in &checked {
                let result = if check.lack.is_some() { "FAILED" } else { "ok" };
                print_line(format!("{result:<7} {}", check.what))?;
            }
        }
        let lacks: Vec<String> = checked.into_iter().filter_map(|check| check.lack).collect();
        if lacks.is_empty() { Ok(()) } else { Err(Failure::negative(lacks.join("; "))) }
    }
}
