//! Lists what users of `cenote-producer` and `cenote-consumer` can name, and compares it with the listings in the
//! repository: `cargo run --manifest-path .ci/public-api/Cargo.toml [-- --update]`, from the repository's root. Each
//! function among them must have an example, or a link to one on a type, and say when it fails.
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

/// An item as text, where it belongs, and what its documentation lacks.
struct Item {
    id: u64,
    parent: Option<u64>,
    text: String,
    lacks: Option<&'static str>,
}

fn main() -> Result<ExitCode, Failure> {
    let update = std::env::args().any(|argument| argument == "--update");
    let mut internal = BTreeMap::new();
    for name in INTERNAL {
        internal.insert(name.replace('-', "_"), document(name)?);
    }
    let (mut differs, mut undocumented) = (false, BTreeSet::new());
    for (name, file) in FACES {
        let face = document(name)?;
        let items = items(&face, &internal);
        undocumented.extend(items.iter().filter_map(|item| Some(format!("{} lacks {}", item.text, item.lacks?))));
        let lines: BTreeSet<&str> = items.iter().map(|item| item.text.as_str()).collect();
        let listing: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
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
    undocumented.iter().for_each(|line| println!("{line}"));
    Ok(if differs || !undocumented.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
    let items = api.items().map(|item| {
        let (id, parent) = (u64::from(item.id().0), item.parent_id().map(|id| u64::from(id.0)));
        Item { id, parent, text: item.to_string(), lacks: lacks(&json["index"], id, parent) }
    });
    let (own, foreign) = paths(&json);
    let used = json["index"].as_object().into_iter().flat_map(|index| index.values());
    let used = used.filter_map(|item| foreign.get(&item["inner"]["use"]["id"].as_u64()?).cloned());
    Ok(Documented { items: items.collect(), ids: own, uses: used.collect() })
}

/// What the documentation of a function lacks; nothing of a trait's implementation, which the trait documents.
fn lacks(index: &Value, id: u64, parent: Option<u64>) -> Option<&'static str> {
    let item = &index[id.to_string()];
    let output = &item["inner"]["function"]["sig"]["output"]["resolved_path"]["path"];
    let of_trait = parent.map(|id| &index[id.to_string()]["inner"]["impl"]["trait"]).is_some_and(|of| !of.is_null());
    if item["inner"]["function"].is_null() || of_trait {
        return None;
    }
    let (name, docs) = (item["name"].as_str()?, item["docs"].as_str().unwrap_or_default());
    if output.as_str().is_some_and(|path| path.ends_with("Result")) && !docs.contains("# Errors") {
        return Some("a section of errors");
    }
    let linked = docs.split_once("[Example](").and_then(|(_, link)| link.split_once("#example)"));
    let shown = linked.is_some_and(|(of, _)| {
        let named = index.as_object().into_iter().flat_map(|index| index.values()).filter(|item| item["name"] == of);
        let example = |item: &Value| Some(item["docs"].as_str()?.split_once("# Example")?.1.contains(name));
        named.filter_map(example).any(|shows| shows)
    });
    (!shown && !docs.contains("```")).then_some("an example")
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
fn items<'a>(face: &'a Documented, internal: &'a BTreeMap<String, Documented>) -> Vec<&'a Item> {
    let mut items: Vec<&Item> = face.items.iter().collect();
    for path in &face.uses {
        let Some(documented) = path.split("::").next().and_then(|name| internal.get(name)) else { continue };
        if let Some(id) = documented.ids.get(path) {
            items.extend(documented.below(*id));
        }
    }
    items
}

impl Documented {
    /// The item and all that belongs to it: fields, variants, methods, implementations.
    fn below(&self, id: u64) -> impl Iterator<Item = &Item> {
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
        self.items.iter().filter(move |item| ids.contains(&item.id))
    }
}

/// Lines that only one of the texts has, as a diff shows them.
fn difference(old: &str, new: &str) -> Vec<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}
