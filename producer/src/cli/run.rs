//! `run`: a file becomes all records of a type.
//!
//! The dataset's schema wins. Where it lacks the type, the file is read twice: once for a schema, once for the records.
//! Nothing is written before the schema is known, and nothing of a file that has an error.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_producer::json::{self, Lines};
use cenote_producer::{BoxError, CycleError, Cycled, Producer};
use cenote_state::record::Registry;
use cenote_state::schema::{Schema, TypeSchema};
use cenote_state::view::View;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::text::{count, counted, seconds};
use super::{Failure, Place, Turn, pair, print};

/// Publish a file of JSON Lines as all records of a type
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    #[command(flatten)]
    place: Place,
    /// The root type that the file's records are of
    #[arg(long = "type", value_name = "NAME")]
    type_name: String,
    /// The fields that identify a record, like id, or country,city.zip; needed when the dataset lacks the type
    #[arg(long, value_name = "FIELD[,FIELD]")]
    key: Option<String>,
    /// Add fields that the file has and the dataset's type lacks, as optional ones
    #[arg(long)]
    add_fields: bool,
    /// Publish a file without records although the dataset has some of the type: all of them go
    #[arg(long)]
    allow_empty: bool,
    /// Something to say about the version, like release=8.1.9
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    turn: Turn,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// The records: one JSON object on each line
    file: PathBuf,
}

const EXAMPLES: &str = "\
What the file says is what the type holds afterwards: records that it lacks are removed, equal ones cost nothing.
The first time, the schema is found from the file and printed: whole numbers are i64 (u64 if one is above), others
f64; an object is a component, an array a list; what is missing or null somewhere is an Option. From then on the
dataset's schema wins, and values must fit it.

Examples:
  cenote-producer run --dataset ./catalog --type Movie --key id movies.jsonl
  cenote-producer run --dataset s3://media/catalog --type Movie --tag release=8.1.9 movies.jsonl
  cenote-producer run --dataset ./geo --type City --key country,name --json cities.jsonl";

/// What was found out about the schema when the dataset was opened.
#[derive(Default)]
struct Learned {
    /// A schema found from the file, to be shown.
    schema: Option<Schema>,
    left_out: Vec<String>,
}

/// The command line is at fault, as the dataset shows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let learned = Arc::new(Mutex::new(Learned::default()));
        let mut producer = self.open(Arc::clone(&learned)).await?;
        let learned = std::mem::take(&mut *learned.lock().expect("nobody panics while holding it"));
        if !self.json {
            self.print_schema(&learned)?;
        }
        let cycled = self.cycle(&mut producer).await;
        // Also after a failure, so that the next producer need not wait.
        let closed = producer.close().await;
        let cycled = cycled.map_err(|error| self.explained(error, producer.schema()))?;
        closed?;
        let counts = Counts::new(&producer.view(), Some(&self.type_name), &cycled);
        print(&if self.json { self.as_json(&counts, &cycled, &learned) } else { self.as_text(&counts, &cycled) })
    }

    async fn open(&self, learned: Arc<Mutex<Learned>>) -> Result<Producer, Failure> {
        let builder = self.turn.take(Producer::builder_on(self.place.storage().await?));
        let declaration = Declaration {
            file: self.file.clone(),
            type_name: self.type_name.clone(),
            key: self.key.as_deref().map(paths),
            add_fields: self.add_fields,
            learned,
        };
        let opened = builder.declare_with(move |chain, registry| declaration.declare(chain, registry)).open().await;
        opened.map_err(|error| match error.declare_with() {
            Some(cause) => match cause.downcast_ref::<WrongUse>() {
                Some(wrong) => Failure::usage(wrong.0.clone()),
                None => Failure { code: 1, message: super::chain(cause.as_ref()) },
            },
            None => error.into(),
        })
    }

    async fn cycle(&self, producer: &mut Producer) -> Result<Cycled, CycleError> {
        let had = {
            let view = producer.view();
            view.named(&self.type_name).map_or(0, |table| table.len())
        };
        let cycle = producer.cycle(async |writer| {
            for (name, value) in &self.tags {
                writer.tag(name, value);
            }
            let bar = progress(&self.file, "reading");
            let mut lines = Lines::open(&self.file)?;
            let records = json::fill(writer, &self.type_name, &mut lines, &mut |bytes| bar.set_position(bytes))?;
            bar.finish_and_clear();
            if records == 0 && had > 0 && !self.allow_empty {
                return Err(format!(
                    "{} has no records, and publishing it would remove {} of {}; add --allow-empty if that is meant",
                    self.file.display(),
                    counted(had as u64, "record"),
                    self.type_name
                )
                .into());
            }
            Ok(())
        });
        cycle.await
    }

    /// The error for people: with the file's lines where the library knows keys only.
    fn explained(&self, error: CycleError, schema: &Schema) -> Failure {
        if let Some(found) = error.duplicate_keys() {
            let of_type = schema.find(&found.type_name).map(|id| schema.get(id));
            return match of_type.map(|of_type: &TypeSchema| json::explain_duplicates(&self.file, of_type, found)) {
                Some(Ok(explained) | Err(explained)) => explained.into(),
                None => found.clone().into(),
            };
        }
        match error.closure() {
            Some(cause) => Failure { code: 1, message: super::chain(cause.as_ref()) },
            None => error.into(),
        }
    }

    fn print_schema(&self, learned: &Learned) -> Result<(), Failure> {
        if let Some(schema) = &learned.schema {
            print(&format!("schema, from {}:", self.file.display()))?;
            print(schema.to_string().trim_end())?;
        }
        if !learned.left_out.is_empty() {
            print(&format!("left out, null or empty on every line: {}", learned.left_out.join(", ")))?;
        }
        Ok(())
    }

    fn as_text(&self, counts: &Counts, cycled: &Cycled) -> String {
        let (version, name) = (cycled.version(), &self.type_name);
        let Cycled::Committed(report) = cycled else {
            let records = counted(counts.records, "record");
            return format!("unchanged: version {version} has the same {records} of {name}; nothing was written");
        };
        format!(
            "version {version}: {} in {:.3} s",
            counts.shown(name, report.delta_bytes, report.schema_changed),
            report.took.as_secs_f64()
        )
    }

    fn as_json(&self, counts: &Counts, cycled: &Cycled, learned: &Learned) -> String {
        let mut result = counts.as_json(&self.place.dataset, cycled);
        result["type"] = json!(self.type_name);
        result["schema"] = json!(learned.schema.as_ref().map(ToString::to_string));
        result["left_out"] = json!(learned.left_out);
        result.to_string()
    }
}

/// What decides on the schema, once the dataset's is known.
struct Declaration {
    file: PathBuf,
    type_name: String,
    key: Option<Vec<Vec<String>>>,
    add_fields: bool,
    learned: Arc<Mutex<Learned>>,
}

impl Declaration {
    fn declare(self, chain: &Schema, registry: Registry) -> Result<Registry, BoxError> {
        let known = chain.find(&self.type_name).map(|id| chain.get(id)).filter(|known| !known.fields.is_empty());
        let Some(known) = known else {
            let key = self.key.as_ref().ok_or_else(|| {
                WrongUse(format!("{} is new to the dataset; name its key with --key FIELD", self.type_name))
            })?;
            let schema = self.infer(key)?;
            return Ok(registry.with_schema(&schema));
        };
        self.check_known(known)?;
        if !self.add_fields {
            return Ok(registry.with_schema_of(chain, &self.type_name));
        }
        let extended = json::extend(chain, &self.infer(known.key_paths())?, &self.type_name);
        self.learned.lock().expect("nobody panics while holding it").schema = Some(extended.clone());
        Ok(registry.with_schema_of(&extended, &self.type_name))
    }

    /// That the command line agrees with what the dataset has.
    fn check_known(&self, known: &TypeSchema) -> Result<(), WrongUse> {
        let name = &self.type_name;
        if !known.is_root() {
            return Err(WrongUse(format!(
                "{name} is a component in the dataset, kept by the records that hold it; name a root type"
            )));
        }
        match &self.key {
            Some(key) if key != known.key_paths() => Err(WrongUse(format!(
                "{name} has the key {} in the dataset, and a key never changes; leave --key out, or publish under another --type",
                written(known.key_paths())
            ))),
            _ => Ok(()),
        }
    }

    fn infer(&self, key: &[Vec<String>]) -> Result<Schema, BoxError> {
        let bar = progress(&self.file, "finding the schema");
        let mut lines = Lines::open(&self.file)?;
        let inferred = json::infer(&mut lines, &self.type_name, key, &mut |bytes| bar.set_position(bytes))?;
        bar.finish_and_clear();
        let mut learned = self.learned.lock().expect("nobody panics while holding it");
        (learned.schema, learned.left_out) = (Some(inferred.schema.clone()), inferred.left_out);
        Ok(inferred.schema)
    }
}

fn paths(key: &str) -> Vec<Vec<String>> {
    key.split(',').map(|path| path.trim().split('.').map(str::to_owned).collect()).collect()
}

fn written(key: &[Vec<String>]) -> String {
    key.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(",")
}

/// A bar over the file's bytes, on a terminal only.
fn progress(file: &Path, what: &'static str) -> ProgressBar {
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(bytes).with_message(what).with_style(style.expect("the template is sound"))
}

/// What a version changed: of the roots, and of the components that they lead to.
#[derive(Default)]
pub(super) struct Counts {
    added: u64,
    removed: u64,
    changed: u64,
    components_added: u64,
    components_removed: u64,
    /// Records of the type, or of all root types.
    records: u64,
}

impl Counts {
    /// Of one root type, or of all; `view` is of the version.
    pub(super) fn new(view: &View, type_name: Option<&str>, cycled: &Cycled) -> Counts {
        let roots = view.named_tables().filter(|table| {
            let of_type = table.schema();
            of_type.is_root() && type_name.is_none_or(|name| name == of_type.name)
        });
        let mut counts = Counts { records: roots.map(|table| table.len() as u64).sum(), ..Counts::default() };
        for of_type in cycled.committed().iter().flat_map(|report| &report.types) {
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
            count(self.added),
            count(self.changed),
            count(self.removed),
            counted(self.records, "record"),
        );
        if self.components_added + self.components_removed > 0 {
            let (added, removed) = (count(self.components_added), count(self.components_removed));
            shown += &format!("components: {added} added, {removed} removed; ");
        }
        if schema_changed {
            shown += "the schema changed; ";
        }
        shown + &format!("delta of {}", counted(delta_bytes, "byte"))
    }

    /// For programs.
    pub(super) fn as_json(&self, dataset: &str, cycled: &Cycled) -> serde_json::Value {
        let report = cycled.committed();
        json!({
            "dataset": dataset,
            "version": cycled.version(),
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
