//! `status`: who holds a dataset, and what state its log is in.

use crate::storage::{Storage, StorageError};
use crate::{Timestamp, Version};
use cenote_store::cli::{DatasetArgs, Failure, counted, print_line};
use cenote_store::env::Env;
use cenote_store::log::order::Rules;
use cenote_store::log::retention::unnamed;
use cenote_store::log::tail::read_hint;
use cenote_store::log::{Body, Hint, LogReader, names};
use clap::Args;
use indicatif::{HumanBytes, HumanDuration};
use serde_json::{Value, json};

/// Show who holds the dataset, its newest version, its snapshots, and what is left behind
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
The age of a heartbeat is by this machine's clock and the store's. It writes nothing.

Examples:
  cenote-producer status ./catalog
  cenote-producer status s3://media/catalog --json | jq '.snapshots[-1]'

Exit code: 0 the log can be read, and all snapshots that it names are there; 1 otherwise.";

/// What the log and the folder hold.
struct Found {
    reader: LogReader,
    hint: Option<Hint>,
    /// How long ago the last heartbeat was.
    silent_ms: Option<u64>,
    /// When the dataset was opened in its epoch, if that is among the live entries.
    opened: Option<(u64, Timestamp, String)>,
    committed: Option<Timestamp>,
    /// Each with its size, and whether its object is there.
    snapshots: Vec<(Version, u64, bool)>,
    /// Objects and bytes that no entry names.
    left: (u64, u64),
}

impl Status {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let storage = self.dataset.storage().await?;
        let found = Found::read(&storage).await?;
        if self.json {
            print_line(found.as_json(&self.dataset.url))?;
        } else {
            found.as_text().into_iter().try_for_each(print_line)?;
        }
        // Readers start from the newest; an older one that is missing is only listed as such.
        match found.snapshots.last() {
            Some((version, _, false)) => Err(Failure::negative(format!(
                "the snapshot of version {version} is missing; `cenote-producer snapshot` makes another of the newest version"
            ))),
            _ => Ok(()),
        }
    }
}

impl Found {
    async fn read(storage: &Storage) -> Result<Found, Failure> {
        let now = Env::system().now();
        let reader = LogReader::start(storage.clone()).await?;
        let log_state = reader.log_state();
        let hint = read_hint(storage).await?.filter(|hint| hint.dataset == log_state.dataset);
        let beat = storage.modified(names::HINT).await?;
        let (mut opened, mut committed) = (None, None);
        let mut walk = reader.walk_live();
        while let Some(entry) = walk.next().await? {
            match &entry.body {
                Body::Open(open) => opened = Some((entry.head.position.0, entry.head.time, open.owner.clone())),
                Body::Commit(_) => committed = Some(entry.head.time),
                _ => {}
            }
        }
        let mut snapshots = Vec::new();
        for kept in &log_state.snapshots {
            let object = &kept.snapshot.object;
            let is_there = size(storage, &object.name).await? == Some(object.length);
            committed = committed.or((kept.snapshot.version == log_state.version).then(|| kept.committed_at()));
            snapshots.push((kept.snapshot.version, object.length, is_there));
        }
        let unnamed = unnamed(storage, Rules::default()).await?;
        let left = unnamed.garbage.iter().chain(&unnamed.owners);
        let left = left.fold((0, 0), |(objects, bytes), listed| (objects + 1, bytes + listed.size));
        let silent_ms = beat.map(|beat| now.0.saturating_sub(beat.0));
        Ok(Found { reader, hint, silent_ms, opened, committed, snapshots, left })
    }

    fn is_alive(&self) -> bool {
        let Some(hint) = self.hint.as_ref().filter(|hint| hint.owner.is_some()) else { return false };
        self.silent_ms.is_some_and(|silent| u128::from(silent) <= hint.heartbeat_interval.as_millis())
    }

    fn as_text(&self) -> Vec<String> {
        let log_state = self.reader.log_state();
        let ago = |ms: u64| format!("{} ago", HumanDuration(std::time::Duration::from_millis(ms)));
        let since = match &self.opened {
            Some((position, time, owner)) => format!("opened by {owner} at position {position}, {}", time.to_rfc3339()),
            None => "opened before the log's start".to_owned(),
        };
        let owner = match self.hint.as_ref().map(|hint| (hint, &hint.owner)) {
            Some((_, Some(owner))) if self.is_alive() => {
                format!("{owner}, last heartbeat {}", ago(self.silent_ms.unwrap_or(0)))
            }
            Some((_, Some(owner))) => {
                format!("{owner}, silent: its last heartbeat was {}", ago(self.silent_ms.unwrap_or(0)))
            }
            Some((_, None)) => "nobody".to_owned(),
            None => "nobody known: there is no hint".to_owned(),
        };
        let committed = self.committed.map_or_else(String::new, |time| format!(", committed {}", time.to_rfc3339()));
        let mut lines = vec![
            format!("dataset     {}", log_state.dataset),
            format!("owner       {owner}"),
            format!("epoch       {}, {since}", log_state.epoch),
            format!("version     {}{committed}", log_state.version),
            format!(
                "log         position {}, starts at {}, {} since the checkpoint",
                log_state.position,
                log_state.log_start,
                counted(log_state.entries_since_checkpoint(), "position")
            ),
        ];
        if self.snapshots.is_empty() {
            lines.push("snapshots   none".to_owned());
        }
        for (version, bytes, is_there) in self.snapshots.iter().rev() {
            let missing = if *is_there { "" } else { ", missing" };
            lines.push(format!("snapshot    version {version}, {}{missing}", HumanBytes(*bytes)));
        }
        let (objects, bytes) = self.left;
        if objects > 0 {
            let what = counted(objects, "object");
            lines.push(format!("left behind {what} of {} that no entry names; see `gc`", HumanBytes(bytes)));
        }
        lines
    }

    fn as_json(&self, url: &str) -> Value {
        let log_state = self.reader.log_state();
        let snapshots: Vec<Value> = self
            .snapshots
            .iter()
            .map(|(version, bytes, is_there)| json!({ "version": version, "bytes": bytes, "missing": !is_there }))
            .collect();
        let opened = self.opened.as_ref();
        json!({
            "url": url,
            "dataset": log_state.dataset.to_string(),
            "owner": self.hint.as_ref().and_then(|hint| hint.owner.clone()),
            "alive": self.is_alive(),
            "silent_seconds": self.silent_ms.map(|ms| ms / 1_000),
            "epoch": log_state.epoch,
            "opened_at": opened.map(|(_, time, _)| time.to_rfc3339()),
            "opened_position": opened.map(|(position, ..)| position),
            "version": log_state.version,
            "committed_at": self.committed.map(Timestamp::to_rfc3339),
            "position": log_state.position,
            "log_start": log_state.log_start,
            "positions_since_checkpoint": log_state.entries_since_checkpoint(),
            "snapshots": snapshots,
            "unnamed_objects": self.left.0,
            "unnamed_bytes": self.left.1,
        })
    }
}

async fn size(storage: &Storage, name: &str) -> Result<Option<u64>, StorageError> {
    storage.size(name).await
}
