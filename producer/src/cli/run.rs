//! `run`: a file becomes all records of a type.
//!
//! The dataset's schema decides what is read. If it lacks the type, the file is read twice: once for a schema, once for the
//! records. Nothing is written before the schema is known, and nothing of a file that has an error.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cenote_producer::json::{self, Lines};
use cenote_producer::schema::{Registry, Schema, TypeSchema};
use cenote_producer::{BoxError, CycleError, Cycled, Producer};
use cenote_store::cli::{DatasetArgs, Failure, chain, counted, key_and_value, print_line};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::OwnerArgs;
use super::counts::Counts;

/// Publish a file of JSON Lines as all records of a type
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The records: one JSON object on each line
    file: PathBuf,
    /// The root type of the file's records
    #[arg(long = "type", value_name = "NAME")]
    type_name: String,
    /// The fields that identify a record, like id, or country,city.zip; required if the dataset lacks the type
    #[arg(long, value_name = "FIELD[,FIELD]")]
    key: Option<String>,
    /// Add fields that the file has and the dataset's type lacks, as optional ones
    #[arg(long)]
    add_fields: bool,
    /// Publish a file without records although the dataset has some of the type; all of them are removed
    #[arg(long)]
    allow_empty: bool,
    /// A tag of the version, like release=8.1.9
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = key_and_value)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Afterwards the type holds exactly the file's records: records that the file lacks are removed, equal ones cost nothing.
The first time, the program derives the schema from the file and prints it: whole numbers are i64 (u64 if one is larger),
others f64; an object is a component, an array a list; a field that is missing or null in a record is an Option. From then
on values must fit the dataset's schema.

Examples:
  cenote-producer run ./catalog movies.jsonl --type Movie --key id
  cenote-producer run s3://media/catalog movies.jsonl --type Movie --tag release=8.1.9
  cenote-producer run ./geo cities.jsonl --type City --key country,name --json";

/// What the program derived from the file when it opened the dataset.
#[derive(Default)]
struct Learned {
    /// The schema, to be printed.
    schema: Option<Schema>,
    left_out: Vec<String>,
}

/// The command line does not fit the dataset.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Before the log: a typing error must fence nobody.
        if let Err(error) = std::fs::metadata(&self.file) {
            return Err(Failure::negative(format!(
                "{}: can't be read: {error}; check the path and its permissions",
                self.file.display()
            )));
        }
        let learned = Arc::new(Mutex::new(Learned::default()));
        let mut producer = self.open(Arc::clone(&learned)).await?;
        super::say_goodbye_when_stopped(&producer);
        let learned = std::mem::take(&mut *learned.lock().expect("no thread panics while it holds the lock"));
        if !self.json {
            self.print_schema(&learned)?;
        }
        let cycled = self.cycle(&mut producer).await;
        // Closed after a failure as well, so that the next producer need not wait.
        let closed = producer.close().await;
        let cycled = cycled.map_err(|error| self.explained(error, producer.schema()))?;
        closed.map_err(|error| Failure::of(error.kind(), &error))?;
        let counts = Counts::new(&producer.view(), Some(&self.type_name), &cycled);
        print_line(if self.json { self.as_json(&counts, &cycled, &learned) } else { self.as_text(&counts, &cycled) })
    }

    async fn open(&self, learned: Arc<Mutex<Learned>>) -> Result<Producer, Failure> {
        let builder = self.owner.apply(Producer::builder_on(self.dataset.storage().await?));
        let declaration = Declaration {
            file: self.file.clone(),
            type_name: self.type_name.clone(),
            key: self.key.as_deref().map(paths),
            add_fields: self.add_fields,
            learned,
        };
        let opened = builder.declare_with(move |dataset, registry| declaration.declare(dataset, registry)).open().await;
        opened.map_err(|error| match error.declare_with() {
            Some(cause) => match cause.downcast_ref::<WrongUse>() {
                Some(wrong) => Failure::usage(wrong.0.clone()),
                None => Failure::negative(chain(cause.as_ref())),
            },
            None => Failure::of(error.kind(), &error),
        })
    }

    async fn cycle(&self, producer: &mut Producer) -> Result<Cycled, CycleError> {
        let had = {
            let view = producer.view();
            view.named(&self.type_name).map_or(0, cenote_producer::dynamic::NamedTable::len)
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
                    "{} has no records, and publishing it would remove {} of {}; add --allow-empty if you mean that",
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

    /// The error for people. Where the library names keys, it names the file's lines.
    fn explained(&self, error: CycleError, schema: &Schema) -> Failure {
        if let Some(found) = error.duplicate_keys() {
            let of_type = schema.find(&found.type_name).map(|id| schema.get(id));
            return match of_type.map(|of_type: &TypeSchema| json::explain_duplicates(&self.file, of_type, found)) {
                Some(Ok(explained) | Err(explained)) => explained.into(),
                None => found.clone().into(),
            };
        }
        match error.closure() {
            Some(cause) => Failure::negative(chain(cause.as_ref())),
            None => Failure::of(error.kind(), &error),
        }
    }

    fn print_schema(&self, learned: &Learned) -> Result<(), Failure> {
        if let Some(schema) = &learned.schema {
            print_line(format!("schema, from {}:", self.file.display()))?;
            print_line(schema.to_string().trim_end())?;
        }
        if !learned.left_out.is_empty() {
            print_line(format!("left out, null or empty on every line: {}", learned.left_out.join(", ")))?;
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
        let mut result = counts.as_json(&self.dataset.url, cycled);
        result["type"] = json!(self.type_name);
        result["schema"] = json!(learned.schema.as_ref().map(ToString::to_string));
        result["left_out"] = json!(learned.left_out);
        result.to_string()
    }
}

/// Declares the type when the dataset's schema is known.
struct Declaration {
    file: PathBuf,
    type_name: String,
    key: Option<Vec<Vec<String>>>,
    add_fields: bool,
    learned: Arc<Mutex<Learned>>,
}

impl Declaration {
    fn declare(self, dataset: &Schema, registry: Registry) -> Result<Registry, BoxError> {
        let known = dataset.find(&self.type_name).map(|id| dataset.get(id)).filter(|known| !known.fields.is_empty());
        let Some(known) = known else {
            let key = self.key.as_ref().ok_or_else(|| {
                WrongUse(format!("{} is new to the dataset; name its key with --key FIELD", self.type_name))
            })?;
            let schema = self.infer(key)?;
            return Ok(registry.with_schema(&schema));
        };
        self.check_known(known)?;
        if !self.add_fields {
            return Ok(registry.with_schema_of(dataset, &self.type_name));
        }
        let extended = json::extend(dataset, &self.infer(known.key_paths())?, &self.type_name);
        self.learned.lock().expect("no thread panics while it holds the lock").schema = Some(extended.clone());
        Ok(registry.with_schema_of(&extended, &self.type_name))
    }

    /// Checks the command line against the type that the dataset has.
    fn check_known(&self, known: &TypeSchema) -> Result<(), WrongUse> {
        let name = &self.type_name;
        if !known.is_root() {
            return Err(WrongUse(format!(
                "{name} is a component type in the dataset, and only root types are published; name a root type"
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
        let mut learned = self.learned.lock().expect("no thread panics while it holds the lock");
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
