//! What a version changed, in numbers for people and for programs.

use std::time::Duration;

use crate::{CommitReport, Version, View};
use cenote_store::cli::counted;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

/// What a version changed: in root types, and in the components that their records hold.
#[derive(Default)]
pub(super) struct Counts {
    added: u64,
    removed: u64,
    changed: u64,
    components_added: u64,
    components_removed: u64,
    /// Records of the type, or of all root types.
    pub(super) records: u64,
}

impl Counts {
    /// Of one root type, or of all; `view` is of the version.
    pub(super) fn new(view: &View, type_name: Option<&str>, report: Option<&CommitReport>) -> Counts {
        let roots = view.named_tables().filter(|table| {
            let of_type = table.schema();
            of_type.is_root() && type_name.is_none_or(|name| name == of_type.name)
        });
        let mut counts = Counts { records: roots.map(|table| table.len() as u64).sum(), ..Counts::default() };
        for of_type in report.iter().flat_map(|report| &report.types) {
            if of_type.is_root {
                counts.added += of_type.added;
                counts.removed += of_type.removed;
                counts.changed += of_type.changed;
            } else {
                counts.components_added += of_type.added;
                counts.components_removed += of_type.removed;
            }
        }
        counts
    }

    /// For people.
    pub(super) fn shown(&self, name: &str, delta_bytes: u64, schema_changed: bool) -> String {
        let mut shown = format!(
            "{} added, {} changed, {} removed: now {} of {name}; ",
            HumanCount(self.added),
            HumanCount(self.changed),
            HumanCount(self.removed),
            counted(self.records, "record"),
        );
        if self.components_added + self.components_removed > 0 {
            let (added, removed) = (HumanCount(self.components_added), HumanCount(self.components_removed));
            shown += &format!("components: {added} added, {removed} removed; ");
        }
        if schema_changed {
            shown += "the schema changed; ";
        }
        shown + &format!("delta of {}", HumanBytes(delta_bytes))
    }

    /// For programs.
    pub(super) fn as_json(&self, dataset: &str, version: Version, report: Option<&CommitReport>) -> serde_json::Value {
        json!({
            "dataset": dataset,
            "version": version,
            "unchanged": report.is_none(),
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "components_added": self.components_added,
            "components_removed": self.components_removed,
            "records": self.records,
            "delta_bytes": report.map_or(0, |report| report.delta_bytes),
            "schema_changed": report.is_some_and(|report| report.schema_changed),
            "seconds": seconds(report.map_or(Duration::ZERO, |report| report.took)),
        })
    }
}

/// Seconds with three digits.
fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e3).round() / 1e3
}
