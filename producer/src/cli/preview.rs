//! What `--dry-run` prints: the changes of a version that is not written, record by record.

use crate::Preview;
use crate::dynamic::{NamedDiff, NamedRecord};
use cenote_store::cli::{Failure, counted, print_line};
use serde_json::{Value, json};

use super::counts::Counts;

/// Records shown of each type.
const SHOWN: usize = 20;
/// The same as JSON.
const SHOWN_AS_JSON: usize = 1_000;
/// Characters shown of a record.
const WIDTH: usize = 160;

/// The root types that differ, with what differs.
fn diffs(preview: &Preview) -> impl Iterator<Item = (&str, NamedDiff<'_>)> {
    let tables = preview.newer.named_tables().filter(|table| table.schema().is_root());
    tables.map(|table| table.schema().name.as_str()).filter_map(|name| {
        let diff = preview.newer.named_diff(&preview.older, name);
        let same = diff.added.is_empty() && diff.removed.is_empty() && diff.updated.is_empty();
        (!same).then_some((name, diff))
    })
}

/// Prints it for people.
pub(super) fn print(preview: &Preview) -> Result<(), Failure> {
    print_line("dry run, nothing was written:")?;
    for change in &preview.schema_changes {
        print_line(format!("schema: {change}"))?;
    }
    if preview.report.is_none() {
        return print_line(format!("unchanged: version {} has the same records", preview.older.version()));
    }
    for (name, diff) in diffs(preview) {
        let records = |view: &crate::View| view.named(name).map_or(0, |table| table.len() as u64);
        print_line(format!(
            "{name}: {} added, {} changed, {} removed: {} instead of {}",
            diff.added.len(),
            diff.updated.len(),
            diff.removed.len(),
            counted(records(&preview.newer), "record"),
            records(&preview.older),
        ))?;
        let lines = lines(&diff);
        let total = diff.added.len() + diff.updated.len() + diff.removed.len();
        lines.take(SHOWN).try_for_each(print_line)?;
        if total > SHOWN {
            print_line(format!("  … and {} more", total - SHOWN))?;
        }
    }
    Ok(())
}

/// A line for each record: those removed first, since they are lost.
fn lines<'d>(diff: &'d NamedDiff<'_>) -> impl Iterator<Item = String> + 'd {
    let removed = diff.removed.iter().map(|record| format!("  - {}", shortened(&as_text(*record))));
    let updated = diff.updated.iter().map(|(before, after)| {
        let fields: Vec<String> = changed_fields(*before, *after)
            .map(|(field, before, after)| format!("{field}: {before} -> {after}"))
            .collect();
        format!("  ~ {}: {}", escaped(&key(*after)), shortened(&fields.join(", ")))
    });
    let added = diff.added.iter().map(|record| format!("  + {}", shortened(&as_text(*record))));
    removed.chain(updated).chain(added)
}

/// The fields that differ, with both values.
fn changed_fields<'v>(
    before: NamedRecord<'v>,
    after: NamedRecord<'v>,
) -> impl Iterator<Item = (&'v str, Value, Value)> + 'v {
    after.fields().filter_map(move |(field, value)| {
        let (old, new) = (json!(before.get(field).ok()), json!(value));
        (old != new).then_some((field, old, new))
    })
}

/// As JSON: the counts, and the first records of each kind.
pub(super) fn as_json(preview: &Preview, dataset: &str, counts: &Counts) -> Value {
    let mut result = counts.as_json(dataset, preview.older.version(), preview.report.as_ref());
    result["dry_run"] = json!(true);
    result["schema_changes"] = json!(preview.schema_changes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let changes = diffs(preview).map(|(name, diff)| {
        let updated = diff.updated.iter().take(SHOWN_AS_JSON).map(|(before, after)| json!([before, after]));
        let of_type = json!({
            "added": diff.added.iter().take(SHOWN_AS_JSON).collect::<Vec<_>>(),
            "removed": diff.removed.iter().take(SHOWN_AS_JSON).collect::<Vec<_>>(),
            "changed": updated.collect::<Vec<_>>(),
        });
        (name.to_owned(), of_type)
    });
    result["changes"] = Value::Object(changes.collect());
    result
}

fn key(record: NamedRecord<'_>) -> String {
    record.key_text().unwrap_or_default()
}

fn as_text(record: NamedRecord<'_>) -> String {
    serde_json::to_string(&record).unwrap_or_else(|error| error.to_string())
}

/// Text from a dataset, with control characters as escapes: it must not move the terminal's cursor.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
