//! Lists what users of `cenote-producer` and `cenote-consumer` can name, and compares it with the listings in the
//! repository: `cargo run --manifest-path .ci/public-api/Cargo.toml [-- --update]`, from the repository's root.
//!
//! Both crates re-export types of internal crates, so a listing also has the items of every re-exported path. It is
//! made from rustdoc's JSON, which a stable toolchain writes with `RUSTC_BOOTSTRAP=1`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};

use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

/// The crates whose items the faces may re-export.
const INTERNAL: [&str; 2] = ["cenote-state", "cenote-store"];
const FACES: [(&str, &str); 2] =
    [("cenote-producer", "producer/public-api.txt"), ("cenote-consumer", "consumer/public-api.txt")];

/// One crate's items as text, and the paths that it re-exports from other crates.
struct Documented {
    items: Vec<String>,
    uses: BTreeSet<String>,
}

fn main() -> Result<ExitCode, Failure> {
    let update = std::env::args().any(|argument| argument == "--update");
    let mut internal = BTreeMap::new();
    for name in INTERNAL {
        internal.insert(name.replace('-', "_"), document(name)?);
    }
    let mut differs = false;
    for (name, file) in FACES {
        let listing = listing(&document(name)?, &internal);
        if update {
            std::fs::write(file, &listing)?;
            continue;
        }
        let known = std::fs::read_to_string(file).unwrap_or_default();
        for line in difference(&known, &listing) {
            println!("{file}: {line}");
            differs = true;
        }
    }
    if differs {
        println!("the public interface changed; if that is intended, run `just api-update` and commit the listings");
    }
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn document(name: &str) -> Result<Documented, Failure> {
    let status = Command::new("cargo")
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["rustdoc", "--quiet", "--package", name, "--lib", "--", "-Z", "unstable-options"])
        .args(["--output-format", "json", "--cap-lints", "allow"])
        .status()?;
    if !status.success() {
        return Err(format!("rustdoc of {name} failed").into());
    }
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let path = format!("{target}/doc/{}.json", name.replace('-', "_"));
    let api = public_api::Builder::from_rustdoc_json(&path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let items = api.items().map(|item| item.to_string()).collect();
    Ok(Documented { items, uses: uses(&serde_json::from_str(&std::fs::read_to_string(path)?)?) })
}

/// The full paths of what the crate re-exports from others.
fn uses(json: &Value) -> BTreeSet<String> {
    let items = json["index"].as_object().into_iter().flat_map(|index| index.values());
    let targets = items.filter_map(|item| item["inner"]["use"]["id"].as_u64());
    let paths = targets.filter_map(|id| {
        let summary = &json["paths"][id.to_string()];
        let segments: Vec<_> = summary["path"].as_array()?.iter().filter_map(Value::as_str).collect();
        (summary["crate_id"] != 0).then(|| segments.join("::"))
    });
    paths.collect()
}

/// A face's own items and those of every path that it re-exports, directly or by way of another internal crate.
fn listing(face: &Documented, internal: &BTreeMap<String, Documented>) -> String {
    let mut lines: BTreeSet<&str> = face.items.iter().map(String::as_str).collect();
    let mut open: Vec<&str> = face.uses.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        let Some(documented) = path.split("::").next().and_then(|name| internal.get(name)) else { continue };
        if seen.insert(path) {
            lines.extend(documented.items.iter().map(String::as_str).filter(|item| belongs(item, path)));
            open.extend(documented.uses.iter().map(String::as_str).filter(|target| !seen.contains(target)));
        }
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// Whether the item is at this path, below it, or implemented for it.
fn belongs(item: &str, path: &str) -> bool {
    let starts = |text: &str| {
        text.strip_prefix(path).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    };
    if let Some(rest) = item.strip_prefix("impl") {
        let target = rest.split_once(" for ").map_or_else(|| rest.trim_start(), |(_, target)| target);
        return starts(target) || target.split_once("> ").is_some_and(|(_, target)| starts(target));
    }
    item.split([' ', '(']).find(|word| word.contains("::")).is_some_and(starts)
}

/// Lines that only one of the texts has, as a diff shows them.
fn difference(old: &str, new: &str) -> Vec<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}
