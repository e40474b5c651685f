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

/// One crate's items, its own items' ids by path, and the paths that it re-exports from other crates.
struct Documented {
    items: Vec<Item>,
    ids: BTreeMap<String, u64>,
    uses: BTreeSet<String>,
}

/// An item as text, and where it belongs.
struct Item {
    id: u64,
    parent: Option<u64>,
    text: String,
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
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let items = api.items().map(|item| Item {
        id: u64::from(item.id().0),
        parent: item.parent_id().map(|id| u64::from(id.0)),
        text: item.to_string(),
    });
    let (own, foreign) = paths(&json);
    let used = json["index"].as_object().into_iter().flat_map(|index| index.values());
    let used = used.filter_map(|item| foreign.get(&item["inner"]["use"]["id"].as_u64()?).cloned());
    Ok(Documented { items: items.collect(), ids: own, uses: used.collect() })
}

/// The crate's own items by path, and others' paths by id.
fn paths(json: &Value) -> (BTreeMap<String, u64>, BTreeMap<u64, String>) {
    let (mut own, mut foreign) = (BTreeMap::new(), BTreeMap::new());
    for (id, summary) in json["paths"].as_object().into_iter().flatten() {
        let Ok(id) = id.parse() else { continue };
        let segments: Vec<_> = summary["path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if summary["crate_id"] == 0 {
            own.insert(segments.join("::"), id);
        } else {
            foreign.insert(id, segments.join("::"));
        }
    }
    (own, foreign)
}

/// A face's own items and those of every path that it re-exports, directly or by way of another internal crate.
fn listing(face: &Documented, internal: &BTreeMap<String, Documented>) -> String {
    let mut lines: BTreeSet<&str> = face.items.iter().map(|item| item.text.as_str()).collect();
    for path in &face.uses {
        let Some(documented) = path.split("::").next().and_then(|name| internal.get(name)) else { continue };
        if let Some(id) = documented.ids.get(path) {
            lines.extend(documented.below(*id));
        }
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

impl Documented {
    /// The item and all that belongs to it: fields, variants, methods, implementations.
    fn below(&self, id: u64) -> impl Iterator<Item = &str> {
        let mut ids = BTreeSet::from([id]);
        loop {
            let known = ids.len();
            ids.extend(
                self.items
                    .iter()
                    .filter(|item| item.parent.is_some_and(|id| ids.contains(&id)))
                    .map(|item| item.id)
                    .collect::<Vec<_>>(),
            );
            if ids.len() == known {
                break;
            }
        }
        self.items.iter().filter(move |item| ids.contains(&item.id)).map(|item| item.text.as_str())
    }
}

/// Lines that only one of the texts has, as a diff shows them.
fn difference(old: &str, new: &str) -> Vec<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}
