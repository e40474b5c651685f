//! `log`: what happened to a dataset, entry by entry.

use cenote_state::blob;
use cenote_state::schema::Schema;
use cenote_state::shown::shown;
use cenote_store::cli::{DatasetArgs, Failure, print_line};
use cenote_store::log::{Body, Commit, DeltaPlace, Entry, LogReader};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

/// Show the log, entry by entry, from its oldest to its newest
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Log {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Print a JSON object for each entry
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
A version is the position of its commit. Entries that were trimmed are not shown.

Examples:
  cenote-producer log ./catalog
  cenote-producer log s3://media/catalog --json | jq 'select(.kind == \"commit\")'";

impl Log {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut reader = LogReader::start(self.dataset.storage().await?).await?;
        while reader.next().await?.is_some() {}
        let mut walk = reader.walk_live();
        let mut schema = schema_before(&reader).await;
        if !self.json {
            print_line("position  time                      epoch  kind        bytes       what")?;
        }
        while let Some(entry) = walk.next().await? {
            if let Body::Commit(commit) = &entry.body
                && let Some(new) = &commit.schema
            {
                schema.clone_from(new);
            }
            print_line(if self.json { as_json(&entry, &schema).to_string() } else { as_text(&entry, &schema) })?;
        }
        Ok(())
    }
}

/// The part at a snapshot's end that is read for its footer.
const FOOTER_BYTES: u64 = 1 << 20;

/// The schema at the log's start. If commits before it were trimmed, the oldest snapshot has it. It only gives types their
/// names here, so a schema that can't be read is no failure.
async fn schema_before(reader: &LogReader) -> Schema {
    let Some(oldest) = reader.log_state().snapshots.first().filter(|_| reader.log_state().log_start.0 > 1) else {
        return Schema::default();
    };
    let end = reader.storage().get_tail(&oldest.snapshot.object.name, FOOTER_BYTES).await;
    let Ok(Some(end)) = end else { return Schema::default() };
    let footer = blob::read_footer(&end.bytes, end.size).ok().and_then(Result::ok);
    footer.and_then(|footer| footer.schema).unwrap_or_default()
}

fn kind(entry: &Entry) -> String {
    format!("{:?}", entry.body.kind()).to_lowercase()
}

fn as_text(entry: &Entry, schema: &Schema) -> String {
    let what = match &entry.body {
        Body::Open(open) => format!("by {}", shown(&open.owner)),
        Body::Commit(commit) => commit_text(commit, schema),
        Body::Snapshot(snapshot) => {
            format!("of version {}, {}", snapshot.version, HumanBytes(snapshot.object.length))
        }
        Body::Checkpoint(object) => HumanBytes(object.length).to_string(),
        Body::Trim(trim) => format!("the log starts at {}", trim.log_start),
    };
    let head = &entry.head;
    format!(
        "{:>8}  {:<24}  {:>5}  {:<10}  {:>10}  {what}",
        head.position.0,
        head.time.to_rfc3339(),
        head.epoch.0,
        kind(entry),
        HumanCount(entry.bytes).to_string()
    )
}

fn commit_text(commit: &Commit, schema: &Schema) -> String {
    let mut parts = Vec::new();
    if let Some(version) = commit.republishes {
        parts.push(format!("version {version} again"));
    }
    let counts: Vec<String> =
        named_counts(commit, schema).map(|(name, records)| format!("{name} {}", HumanCount(records))).collect();
    if !counts.is_empty() {
        parts.push(counts.join(", "));
    }
    parts.push(match &commit.delta {
        DeltaPlace::None => "no delta".to_owned(),
        DeltaPlace::Inline(bytes) => format!("delta of {} in the entry", HumanBytes(bytes.len() as u64)),
        DeltaPlace::Blob(object) => format!("delta of {} in a blob", HumanBytes(object.length)),
    });
    if commit.schema.is_some() {
        parts.push("schema".to_owned());
    }
    parts.extend(commit.tags.iter().map(|(name, value)| format!("{}={}", shown(name), shown(value))));
    parts.join("; ")
}

/// Records by type name; a type without a known name is its number.
fn named_counts<'c>(commit: &'c Commit, schema: &'c Schema) -> impl Iterator<Item = (String, u64)> {
    commit.counts.iter().map(|(id, records)| {
        let of_type = schema.types.get(id.index());
        (of_type.map_or_else(|| format!("type {id}"), |of_type| of_type.name.clone()), *records)
    })
}

fn as_json(entry: &Entry, schema: &Schema) -> Value {
    let head = &entry.head;
    let mut shown = json!({
        "position": head.position,
        "kind": kind(entry),
        "epoch": head.epoch,
        "time": head.time.to_rfc3339(),
        "bytes": entry.bytes,
    });
    let more = match &entry.body {
        Body::Open(open) => json!({ "owner": open.owner }),
        Body::Commit(commit) => commit_json(commit, schema),
        Body::Snapshot(snapshot) => json!({
            "version": snapshot.version,
            "object": snapshot.object.name,
            "object_bytes": snapshot.object.length,
            "digest": format!("{:032x}", snapshot.digest),
        }),
        Body::Checkpoint(object) => json!({ "object": object.name, "object_bytes": object.length }),
        Body::Trim(trim) => json!({ "log_start": trim.log_start }),
    };
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

fn commit_json(commit: &Commit, schema: &Schema) -> Value {
    let (delta_bytes, blob) = match &commit.delta {
        DeltaPlace::None => (0, None),
        DeltaPlace::Inline(bytes) => (bytes.len() as u64, None),
        DeltaPlace::Blob(object) => (object.length, Some(&object.name)),
    };
    let counts: serde_json::Map<String, Value> =
        named_counts(commit, schema).map(|(name, records)| (name, json!(records))).collect();
    json!({
        "parent": commit.parent,
        "digest": format!("{:032x}", commit.digest),
        "records": counts,
        "delta_bytes": delta_bytes,
        "blob": blob,
        "schema_changed": commit.schema.is_some(),
        "republishes": commit.republishes,
        "tags": commit.tags,
    })
}
