//! `get` and `scan`: records as JSON.

use std::io::{BufWriter, IsTerminal, Write, stdout};

use cenote_consumer::dynamic::NamedRecord;
use cenote_store::cli::{DatasetArgs, Failure, print_line, written};
use clap::Args;

use super::{newest_view, table};

/// Print one record as JSON
#[derive(Args)]
#[command(after_help = GET_EXAMPLES)]
pub(super) struct Get {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The record's root type
    #[arg(value_name = "TYPE")]
    type_name: String,
    /// The key: a number or text (bytes in hexadecimal), or a JSON array of several parts
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// Print on one line; the default on a terminal is several lines
    #[arg(long)]
    json: bool,
}

const GET_EXAMPLES: &str = "\
Exit code 1 if there is no such record.

Examples:
  cenote-consumer get ./catalog Movie 42
  cenote-consumer get ./geo City '[\"nl\", \"Delft\"]'
  cenote-consumer get s3://media/catalog Movie 42 --json | jq .title";

/// Print the records of a type as JSON Lines
#[derive(Args)]
#[command(after_help = SCAN_EXAMPLES)]
pub(super) struct Scan {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// A root or component type
    #[arg(value_name = "TYPE")]
    type_name: String,
    /// Stop after this many records
    #[arg(long)]
    limit: Option<usize>,
    /// Print JSON Lines; this is the only form, and the flag exists for symmetry
    #[arg(long)]
    json: bool,
}

const SCAN_EXAMPLES: &str = "\
Records come in the order of their ordinals. The output can be published again with `cenote-producer run`.

Examples:
  cenote-consumer scan ./catalog Movie --limit 10
  cenote-consumer scan ./catalog Movie > movies.jsonl";

impl Get {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let view = newest_view(&self.dataset).await?;
        let table = table(&view, &self.type_name)?;
        let key = table.key_of_text(&self.key).map_err(|error| Failure::usage(error.to_string()))?;
        let Some(record) = table.get(key.as_ref()) else {
            let (name, key, version) = (&self.type_name, &self.key, view.version());
            return Err(Failure::negative(format!("no {name} has the key {key} in version {version}")));
        };
        let json = if !self.json && stdout().is_terminal() {
            serde_json::to_string_pretty(&record)
        } else {
            serde_json::to_string(&record)
        };
        print_line(json?)
    }
}

impl Scan {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let view = newest_view(&self.dataset).await?;
        let table = table(&view, &self.type_name)?;
        let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
        for record in table.iter().take(self.limit.unwrap_or(usize::MAX)) {
            print_record(&mut out, record)?;
        }
        written(out.flush())
    }
}

fn print_record(out: &mut impl Write, record: NamedRecord<'_>) -> Result<(), Failure> {
    match serde_json::to_writer(&mut *out, &record) {
        Ok(()) => written(out.write_all(b"\n")),
        Err(error) => written(Err(error.into())),
    }
}
