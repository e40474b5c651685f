//! `stats`: what the newest version holds, and what it takes in memory.

use std::io::stdout;

use cenote_consumer::View;
use cenote_state::table::TableMemory;
use clap::Args;
use serde_json::{Value, json};

use super::text::count;
use super::{Failure, Place, print};

/// Show what the newest version holds, type by type
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Stats {
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Bytes are those in a consumer's memory: rows and heaps with the ordinals that are free (dead rows) among them, the key
index of a root, and the live bits.

Examples:
  cenote-consumer stats ./catalog
  cenote-consumer stats s3://media/catalog --json | jq .bytes";

impl Stats {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let view = self.place.view().await?;
        if self.json {
            return print(&mut stdout().lock(), &as_json(&self.place.dataset, &view).to_string());
        }
        as_text(&view).iter().try_for_each(|line| print(&mut stdout().lock(), line))
    }
}

/// One type's figures.
struct Row<'v> {
    name: &'v str,
    kind: &'static str,
    records: u64,
    segments: u64,
    memory: TableMemory,
}

fn rows(view: &View) -> Vec<Row<'_>> {
    let state = view.state();
    let present = state.schema().iter().filter(|(_, of_type)| !of_type.fields.is_empty());
    present
        .map(|(id, of_type)| {
            let table = state.table(id);
            let segments = (0..table.segment_count()).filter(|number| table.segment(*number).is_some());
            Row {
                name: &of_type.name,
                kind: if of_type.is_root() { "root" } else { "component" },
                records: table.len() as u64,
                segments: segments.count() as u64,
                memory: table.memory(),
            }
        })
        .collect()
}

fn as_text(view: &View) -> Vec<String> {
    let rows = rows(view);
    let all: u64 = rows.iter().map(|row| row.memory.bytes() as u64).sum();
    let width = rows.iter().map(|row| row.name.chars().count()).chain(["type".len()]).max().unwrap_or(0);
    let mut lines = vec![
        format!("version {}, committed at {}", view.version(), view.committed_at().to_rfc3339()),
        format!("digest  {:032x}", view.state().digest()),
        format!("memory  {} bytes", count(all)),
        String::new(),
        line(
            width,
            ["type", "kind", "records", "bytes", "dead rows", "segments", "key index bytes"].map(str::to_owned),
        ),
    ];
    lines.extend(rows.iter().map(|row| {
        let numbers = [
            row.records,
            row.memory.bytes() as u64,
            row.memory.dead_rows as u64,
            row.segments,
            row.memory.key_index_bytes as u64,
        ];
        let [records, bytes, dead, segments, index] = numbers.map(count);
        line(width, [row.name.to_owned(), row.kind.to_owned(), records, bytes, dead, segments, index])
    }));
    lines
}

fn line(width: usize, [name, kind, records, bytes, dead, segments, index]: [String; 7]) -> String {
    format!("{name:<width$}  {kind:<9}  {records:>13}  {bytes:>15}  {dead:>11}  {segments:>9}  {index:>15}")
}

fn as_json(dataset: &str, view: &View) -> Value {
    let types: Vec<Value> = rows(view)
        .iter()
        .map(|row| {
            json!({
                "type": row.name,
                "kind": row.kind,
                "records": row.records,
                "bytes": row.memory.bytes(),
                "dead_rows": row.memory.dead_rows,
                "segments": row.segments,
                "key_index_bytes": row.memory.key_index_bytes,
            })
        })
        .collect();
    json!({
        "dataset": dataset,
        "version": view.version(),
        "committed_at": view.committed_at().to_rfc3339(),
        "digest": format!("{:032x}", view.state().digest()),
        "bytes": view.state().memory_bytes(),
        "types": types,
    })
}
