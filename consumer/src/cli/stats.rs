//! `stats`: what the newest version holds, and what it takes in memory.

use cenote_consumer::View;
use cenote_state::table::TableMemory;
use cenote_store::cli::{DatasetArgs, Failure, print_line};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::newest_view;

/// Show what the newest version holds, type by type
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Stats {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Bytes are those in a consumer's memory: rows and heaps (including the free ordinals, \"dead rows\"), the key index of a
root type, and the bitmap of live records.

Examples:
  cenote-consumer stats ./catalog
  cenote-consumer stats s3://media/catalog --json | jq .bytes";

impl Stats {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let view = newest_view(&self.dataset).await?;
        if self.json { print_line(as_json(&self.dataset.url, &view)) } else { print_line(as_text(&view)) }
    }
}

/// One type's figures.
struct TypeStats<'v> {
    name: &'v str,
    kind: &'static str,
    records: u64,
    segments: u64,
    memory: TableMemory,
}

fn stats_by_type(view: &View) -> Vec<TypeStats<'_>> {
    let state = view.state();
    let present = state.schema().iter().filter(|(_, of_type)| !of_type.fields.is_empty());
    present
        .map(|(id, of_type)| {
            let table = state.table(id);
            TypeStats {
                name: &of_type.name,
                kind: if of_type.is_root() { "root" } else { "component" },
                records: table.len() as u64,
                segments: table.segments().count() as u64,
                memory: table.memory(),
            }
        })
        .collect()
}

fn as_text(view: &View) -> String {
    let stats = stats_by_type(view);
    let bytes: u64 = stats.iter().map(|of_type| of_type.memory.bytes() as u64).sum();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["type", "kind", "records", "bytes", "dead rows", "segments", "key index bytes"]);
    for of_type in &stats {
        let numbers = [
            of_type.records,
            of_type.memory.bytes() as u64,
            of_type.memory.dead_rows as u64,
            of_type.segments,
            of_type.memory.key_index_bytes as u64,
        ];
        let mut row = vec![of_type.name.to_owned(), of_type.kind.to_owned()];
        row.extend(numbers.map(|number| HumanCount(number).to_string()));
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "version {}, committed at {}\ndigest  {:032x}\nmemory  {} ({} bytes)\n\n{}",
        view.version(),
        view.committed_at().to_rfc3339(),
        view.state().digest(),
        HumanBytes(bytes),
        HumanCount(bytes),
        table.trim_fmt()
    )
}

fn as_json(url: &str, view: &View) -> Value {
    let stats = stats_by_type(view);
    let types = stats.iter().map(|of_type| {
        json!({
            "type": of_type.name,
            "kind": of_type.kind,
            "records": of_type.records,
            "bytes": of_type.memory.bytes(),
            "dead_rows": of_type.memory.dead_rows,
            "segments": of_type.segments,
            "key_index_bytes": of_type.memory.key_index_bytes,
        })
    });
    json!({
        "dataset": url,
        "version": view.version(),
        "committed_at": view.committed_at().to_rfc3339(),
        "digest": format!("{:032x}", view.state().digest()),
        "bytes": stats.iter().map(|of_type| of_type.memory.bytes()).sum::<usize>(),
        "types": types.collect::<Vec<Value>>(),
    })
}
