//! `verify`: proof that a version is whole.

use cenote_consumer::error::ErrorKind;
use cenote_consumer::{Verified, VerifiedType, Verifier, VerifyError, Version};
use cenote_store::cli::{DatasetArgs, Failure, chain, counted, print_line};
use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Read every object of a version again, and compute every digest from its records
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The version; the newest by default
    #[arg(long)]
    version: Option<u64>,
    /// Print one JSON object, also on damage: "whole" says which
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Reads the log from its first entry to its last and every snapshot up to the version, applies every delta, hashes every
record, looks up every key, and counts every reference. Exit code 1 on damage, and the message names the first damaged
object. Keys that lead to no record are counted, too; they are no damage.

Examples:
  cenote-consumer verify ./catalog
  cenote-consumer verify s3://media/catalog --version 42 --json | jq .whole";

impl Verify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let url = &self.dataset.url;
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}%").expect("the template is valid");
        let bar = ProgressBar::new(1).with_style(style);
        let shown = bar.clone();
        let mut verifier = Verifier::on(self.dataset.storage().await?).on_progress(move |progress| {
            shown.set_message(progress.step);
            shown.set_length(progress.total);
            shown.set_position(progress.done);
        });
        if let Some(version) = self.version {
            verifier = verifier.version(Version(version));
        }
        let verified = verifier.run().await;
        bar.finish_and_clear();
        match verified {
            Ok(verified) if self.json => print_line(whole_as_json(url, &verified)),
            Ok(verified) => as_text(&verified).iter().try_for_each(print_line),
            Err(error) => {
                if self.json && error.kind() == ErrorKind::Damaged {
                    print_line(damage_as_json(url, self.version, &error))?;
                }
                // A finding is the answer, whatever its remedy: exit code 1.
                Err(error.into())
            }
        }
    }
}

fn as_text(verified: &Verified) -> Vec<String> {
    let snapshots: Vec<String> = verified.snapshots.iter().map(ToString::to_string).collect();
    let snapshots =
        if snapshots.is_empty() { "none".to_owned() } else { format!("of version {}", snapshots.join(", ")) };
    let mut lines = vec![
        format!("log        positions {} to {}: the chain of hashes is whole", verified.first, verified.last),
        format!("snapshots  {snapshots}"),
        format!("deltas     {} applied, each with the digests of its commit", HumanCount(verified.deltas)),
    ];
    lines.extend(verified.types.iter().map(type_as_text));
    lines.push(format!(
        "version {} is whole: digest {:032x}, {} read",
        verified.version,
        verified.digest,
        HumanBytes(verified.bytes)
    ));
    lines
}

fn type_as_text(of_type: &VerifiedType) -> String {
    let found = if of_type.is_root {
        "each found by its key".to_owned()
    } else {
        format!("all referred to, {} times", HumanCount(of_type.references))
    };
    let dangling = match of_type.dangling_keys {
        0 => String::new(),
        1 => "; 1 key leads to no record".to_owned(),
        keys => format!("; {} keys lead to no record", HumanCount(keys)),
    };
    format!("{}: {} hashed, {found}{dangling}", of_type.name, counted(of_type.records, "record"))
}

fn whole_as_json(url: &str, verified: &Verified) -> Value {
    let types = verified.types.iter().map(|of_type| {
        json!({
            "type": of_type.name,
            "kind": if of_type.is_root { "root" } else { "component" },
            "records": of_type.records,
            "references": of_type.references,
            "dangling_keys": of_type.dangling_keys,
        })
    });
    json!({
        "dataset": url,
        "whole": true,
        "version": verified.version,
        "committed_at": verified.committed_at.to_rfc3339(),
        "digest": format!("{:032x}", verified.digest),
        "first_position": verified.first,
        "last_position": verified.last,
        "snapshots": verified.snapshots,
        "deltas": verified.deltas,
        "bytes": verified.bytes,
        "types": types.collect::<Vec<Value>>(),
    })
}

/// `version` is null for the newest.
fn damage_as_json(url: &str, version: Option<u64>, error: &VerifyError) -> Value {
    json!({ "dataset": url, "whole": false, "version": version, "error": chain(error) })
}
