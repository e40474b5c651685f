//! `run`: a file or a pipe becomes all records of a type.
//!
//! The input is opened before the log. The dataset's schema decides what is read; if it lacks the type, or options ask for
//! changes, the input is read twice: once for a schema, once for the records. Nothing is written before the schema is known,
//! and nothing of a file that has an error. Limits refuse a version that takes away more than the command line allows.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::error::Refusal;
use crate::json::{self, As, Inferred, Reading, Wishes};
use crate::schema::{Registry, Schema, TypeSchema};
use crate::storage::Storage;
use crate::{Allow, BoxError, CycleError, Cycled, OpenError, Preview, Producer, ProducerBuilder, View, Writer};
use cenote_store::cli::{DatasetArgs, Failure, chain, counted, key_and_value, print_line};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::counts::Counts;
use super::input::Input;
use super::limits::{LimitArgs, Limits};
use super::schema::read_schema;
use super::{OwnerArgs, preview, republish, snapshot_made};

/// Publish a file of JSON Lines as all records of a type
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// The records: one JSON object on each line; - is the standard input
    file: PathBuf,
    /// The root type of the file's records
    #[arg(long = "type", value_name = "NAME")]
    type_name: String,
    /// The fields that identify a record, like id, or country,city.zip; required if neither the dataset nor --schema has the
    /// type. A dot or a comma of a name is written after a backslash
    #[arg(long, value_name = "FIELD[,FIELD]")]
    key: Option<String>,
    #[command(flatten, next_help_heading = "Schema")]
    schema: SchemaArgs,
    #[command(flatten, next_help_heading = "Limits")]
    limits: LimitArgs,
    /// Refuse a file with fewer records than this
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Limits")]
    min_records: u64,
    /// Show what would change, and write nothing
    #[arg(long, help_heading = "Limits")]
    dry_run: bool,
    /// A tag of the version, like release=8.1.9
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = key_and_value, help_heading = "Version")]
    tags: Vec<(String, String)>,
    #[command(flatten, next_help_heading = "Version")]
    owner: OwnerArgs,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "Version")]
    json: bool,
}

/// What becomes of the schema.
#[derive(Args)]
struct SchemaArgs {
    /// Take the schema from this file, as text or JSON (see cenote-producer schema), and derive nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["add_fields", "optional", "widen"])]
    schema: Option<PathBuf>,
    /// Add fields that the file has and the dataset's type lacks, as optional ones
    #[arg(long)]
    add_fields: bool,
    /// Make fields optional that a record of the file lacks
    #[arg(long)]
    optional: bool,
    /// Make whole numbers f64, or u64, where the file has numbers that do not fit
    #[arg(long)]
    widen: bool,
    /// How a field is read: f64, string (numbers and bools too), json (any value, as its text), map (names are data) or record
    /// (names are fields)
    #[arg(long = "as", value_name = "FIELD=HOW", value_parser = field_and_how)]
    how: Vec<(String, As)>,
    /// Remove a field from the dataset, with its values, and skip it in the file
    #[arg(long, value_name = "FIELD")]
    drop_field: Vec<String>,
    /// Remove a type from the dataset, with its records
    #[arg(long, value_name = "TYPE")]
    drop_type: Vec<String>,
}

const EXAMPLES: &str = "\
Afterwards the type holds exactly the file's records: records that the file lacks are removed, equal ones cost nothing.
The first time, the program derives the schema from the file and prints it: whole numbers are i64 (u64 if one is larger),
others f64; an object is a component, or a map if its names look like data; an array is a list; a field that is missing or
null in a record is an Option. From then on values must fit the dataset's schema, unless an option says how it changes.

Examples:
  cenote-producer run ./catalog movies.jsonl --type Movie --key id
  zcat movies.jsonl.gz | cenote-producer run ./catalog - --type Movie
  cenote-producer run ./catalog movies.jsonl --type Movie --dry-run
  cenote-producer run ./catalog movies.jsonl --type Movie --max-removed 50%
  cenote-producer run ./catalog movies.jsonl --type Movie --add-fields --optional --widen
  cenote-producer run ./catalog movies.jsonl --type Movie --as isbn=string --as extra=json --as votes=map
  cenote-producer run ./catalog movies.jsonl --type Movie --drop-field note --drop-type Moovie
  cenote-producer run s3://media/catalog movies.jsonl --type Movie --tag release=8.1.9
  cenote-producer run ./geo cities.jsonl --type City --key country,name --json

Exit code: 0 success, also if nothing changed; 1 failure, also if a limit refused the version; 2 wrong use.";

/// What the program derived from the file when it opened the dataset.
#[derive(Default)]
struct Learned {
    /// The schema, to be printed.
    schema: Option<Schema>,
    left_out: Vec<String>,
    maps: Vec<String>,
}

/// The command line does not fit the dataset.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let input = Arc::new(Input::open(&self.file)?);
        let schema = self.schema.schema.as_deref().map(read_schema).transpose()?;
        let learned = Arc::new(Mutex::new(Learned::default()));
        let wishes = self.wishes()?;
        let declaration = Declaration {
            input: Arc::clone(&input),
            type_name: self.type_name.clone(),
            key: self.key.as_deref().map(paths).transpose().map_err(Failure::usage)?,
            schema,
            wishes: wishes.clone(),
            learned: Arc::clone(&learned),
        };
        let builder = self.builder(declaration).await?;
        let learned = || std::mem::take(&mut *learned.lock().expect("no thread panics while it holds the lock"));
        let reading = json::reading_of(&Schema::default(), &self.type_name, &wishes);
        if self.dry_run {
            let dry = builder.dry_run().await.map_err(explained_open)?;
            let learned = learned();
            let preview = dry.cycle(async |writer| self.fill(writer, &input, &reading)).await;
            return self.show(&preview.map_err(|error| self.explained(error, dry.schema(), &input))?, &learned, &input);
        }
        let mut producer = builder.open().await.map_err(explained_open)?;
        let learned = learned();
        if !self.json {
            print_schema(&learned, &input)?;
        }
        let cycled = producer.cycle(async |writer| self.fill(writer, &input, &reading)).await;
        // Closed after a failure as well, so that the next producer need not wait.
        let closed = producer.close().await;
        let cycled = cycled.map_err(|error| self.explained(error, producer.schema(), &input))?;
        closed.map_err(|error| Failure::of(error.kind(), &error))?;
        let counts = self.counts(&producer.view(), &cycled);
        print_line(if self.json { self.as_json(&counts, &cycled, &learned) } else { self.as_text(&counts, &cycled) })?;
        snapshot_made(&producer)
    }

    fn wishes(&self) -> Result<Wishes, Failure> {
        let SchemaArgs { add_fields, optional, widen, how, drop_field, .. } = &self.schema;
        let mut wishes = Wishes { add_fields: *add_fields, optional: *optional, widen: *widen, ..Wishes::default() };
        for (field, how) in how {
            wishes.reading.set(&path(field).map_err(Failure::usage)?, *how);
        }
        for field in drop_field {
            wishes.dropped.push(path(field).map_err(Failure::usage)?);
        }
        Ok(wishes)
    }

    async fn builder(&self, declaration: Declaration) -> Result<ProducerBuilder<Storage>, Failure> {
        let mut builder = self.owner.apply(Producer::builder_on(self.dataset.storage().await?));
        for type_name in &self.schema.drop_type {
            builder = builder.allow(Allow::remove_type(type_name));
        }
        let builder = builder.declare_and_allow(move |dataset, registry| declaration.declare(dataset, registry));
        Ok(builder.validate(Limits(self.limits.clone())))
    }

    /// Gives the file's records to a cycle.
    fn fill(&self, writer: &mut Writer, input: &Input, reading: &Reading) -> Result<(), BoxError> {
        for (name, value) in &self.tags {
            writer.tag(name, value);
        }
        let bar = progress(input, "reading");
        let mut lines = input.lines()?;
        let records = json::fill(writer, &self.type_name, &mut lines, reading, &mut |bytes| bar.set_position(bytes))?;
        bar.finish_and_clear();
        input.check_unchanged()?;
        if records < self.min_records {
            return Err(format!(
                "{} has {} and --min-records asks for {}; if it is meant to have no more, add --min-records {records}",
                input.name(),
                counted(records, "record"),
                self.min_records,
            )
            .into());
        }
        // The limits are the judge of what is removed.
        let id = writer.schema().find(&self.type_name).ok_or("the type is declared")?;
        Ok(writer.allow_empty_type(id)?)
    }

    /// The error for people. Where the library names keys, it names the file's lines.
    fn explained(&self, error: CycleError, schema: &Schema, input: &Input) -> Failure {
        if let Some(found) = error.duplicate_keys() {
            let explained = found.types.iter().map(|found| {
                let of_type: Option<&TypeSchema> = schema.find(&found.type_name).map(|id| schema.get(id));
                let explain = |of_type| json::explain_duplicates(&mut input.lines()?, of_type, found);
                match of_type.map(explain) {
                    Some(Ok(explained) | Err(explained)) => explained.to_string(),
                    None => found.to_string(),
                }
            });
            return Failure::negative(explained.collect::<Vec<_>>().join("; "));
        }
        match error.closure() {
            Some(cause) => Failure::negative(chain(cause.as_ref())),
            None => republish::explained(error),
        }
    }

    fn counts(&self, view: &View, cycled: &Cycled) -> Counts {
        Counts::new(view, Some(&self.type_name), cycled.committed())
    }

    /// Prints a dry run.
    fn show(&self, preview: &Preview, learned: &Learned, input: &Input) -> Result<(), Failure> {
        if self.json {
            let counts = Counts::new(&preview.newer, Some(&self.type_name), preview.report.as_ref());
            return print_line(preview::as_json(preview, &self.dataset.url, &counts));
        }
        print_schema(learned, input)?;
        preview::print(preview)
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
        let mut result = counts.as_json(&self.dataset.url, cycled.version(), cycled.committed());
        result["type"] = json!(self.type_name);
        result["schema"] = json!(learned.schema.as_ref().map(ToString::to_string));
        result["left_out"] = json!(learned.left_out);
        result["maps"] = json!(learned.maps);
        result.to_string()
    }
}

fn print_schema(learned: &Learned, input: &Input) -> Result<(), Failure> {
    if let Some(schema) = &learned.schema {
        print_line(format!("schema, from {}:", input.name()))?;
        print_line(schema.to_string().trim_end())?;
    }
    if !learned.left_out.is_empty() {
        print_line(format!("left out, null or empty on every line: {}", learned.left_out.join(", ")))?;
    }
    if !learned.maps.is_empty() {
        let fields = learned.maps.join(", ");
        print_line(format!("taken for maps, because their names look like data: {fields} (else: --as FIELD=record)"))?;
    }
    Ok(())
}

/// The error for people: refusals of the schema name options, where the library names calls.
fn explained_open(error: OpenError) -> Failure {
    if let Some(cause) = error.declare_with() {
        return match cause.downcast_ref::<WrongUse>() {
            Some(wrong) => Failure::usage(wrong.0.clone()),
            None => Failure::negative(chain(cause.as_ref())),
        };
    }
    let Some(refused) = error.schema() else { return Failure::of(error.kind(), &error) };
    let said = refused.refusals.iter().map(|refusal| match refusal {
        Refusal::LacksField { type_name, field, found } => format!(
            "{type_name}.{field} ({found}) is in the dataset and not in the schema; add it, or remove its values with \
             --drop-field"
        ),
        Refusal::Narrows { type_name, field, found, declared } => {
            format!("{type_name}.{field} is {found} in the dataset and {declared} in the schema; keep {found}")
        }
        Refusal::NoDefault { type_name, field } => {
            format!("{type_name}.{field} is new, and older records lack it; make it an Option")
        }
        Refusal::AllowsNothing { reason, .. } => format!("{reason}; correct --drop-type"),
        Refusal::TypeInUse { type_name, user } => format!("{type_name} can't be dropped: {user}"),
        other => other.to_string(),
    });
    Failure::negative(format!(
        "the schema does not fit the dataset, so nothing was written: {}",
        said.collect::<Vec<_>>().join("; ")
    ))
}

/// Declares the type when the dataset's schema is known.
struct Declaration {
    input: Arc<Input>,
    type_name: String,
    key: Option<Vec<Vec<String>>>,
    schema: Option<Schema>,
    wishes: Wishes,
    learned: Arc<Mutex<Learned>>,
}

impl Declaration {
    fn declare(self, dataset: &Schema, registry: Registry) -> Result<(Registry, Vec<Allow>), BoxError> {
        let wanted = self.wanted(dataset)?;
        // Types that this one does not lead to stay as they are, or are dropped.
        let root = wanted.find(&self.type_name).ok_or("the schema has the type")?;
        let wanted = wanted.only(&wanted.led_to_from(root));
        let declared = Registry::new().with_schema_of(&wanted, &self.type_name).finish()?;
        let allow = match dataset.evolve(&declared, &[]) {
            Ok(_) => Vec::new(),
            Err(refused) => self.allowed(dataset, &refused.refusals),
        };
        Ok((registry.with_schema_of(&wanted, &self.type_name), allow))
    }

    /// The schema that the dataset shall have, as far as the type leads.
    fn wanted(&self, dataset: &Schema) -> Result<Schema, BoxError> {
        let known = dataset.find(&self.type_name).map(|id| dataset.get(id)).filter(|known| !known.fields.is_empty());
        if let Some(schema) = &self.schema {
            let given = schema.find(&self.type_name).map(|id| schema.get(id));
            let given = given.ok_or_else(|| WrongUse(format!("the schema has no type {}; add it", self.type_name)))?;
            self.check(given, "the schema")?;
            let mut schema = schema.clone();
            // Older records lack a field that is new or starts again; the file brings it for all.
            schema.types.iter_mut().flat_map(|of_type| &mut of_type.fields).for_each(|field| field.sparse = true);
            return Ok(schema);
        }
        let Some(known) = known else {
            let key = self.key.as_ref().ok_or_else(|| {
                WrongUse(format!("{} is new to the dataset; name its key with --key FIELD", self.type_name))
            })?;
            return Ok(self.infer(key, dataset)?.schema);
        };
        self.check(known, "the dataset")?;
        if !self.wishes.need_the_file() {
            return Ok(json::adapt(dataset, None, &self.type_name, &self.wishes));
        }
        let inferred = self.infer(known.key_paths(), dataset)?;
        let adapted = json::adapt(dataset, Some(&inferred.schema), &self.type_name, &self.wishes);
        self.learned.lock().expect("no thread panics while it holds the lock").schema = Some(adapted.clone());
        Ok(adapted)
    }

    /// What the command line allows to be lost: fields that are to be dropped, and values that the file brings again.
    fn allowed(&self, dataset: &Schema, refusals: &[Refusal]) -> Vec<Allow> {
        let dropped: Vec<String> =
            self.wishes.dropped.iter().filter_map(|path| dataset.field_at(&self.type_name, path)).collect();
        let allowed = refusals.iter().filter_map(|refusal| match refusal {
            Refusal::Narrows { type_name, field, .. } => Some(Allow::replace(format!("{type_name}.{field}"))),
            Refusal::LacksField { type_name, field, .. } => {
                let path = format!("{type_name}.{field}");
                dropped.contains(&path).then(|| Allow::remove(path))
            }
            _ => None,
        });
        allowed.collect()
    }

    /// Checks the command line against the type that the dataset has, or a schema.
    fn check(&self, known: &TypeSchema, owner: &str) -> Result<(), WrongUse> {
        let name = &self.type_name;
        if !known.is_root() {
            return Err(WrongUse(format!(
                "{name} is a component type in {owner}, and only root types are published; name a root type"
            )));
        }
        match &self.key {
            Some(key) if key != known.key_paths() => Err(WrongUse(format!(
                "{name} has the key {} in {owner}, and a key never changes; leave --key out, or publish under another --type",
                written(known.key_paths())
            ))),
            _ => Ok(()),
        }
    }

    fn infer(&self, key: &[Vec<String>], dataset: &Schema) -> Result<Inferred, BoxError> {
        let bar = progress(&self.input, "finding the schema");
        let mut lines = self.input.lines()?;
        let reading = json::reading_of(dataset, &self.type_name, &self.wishes);
        let inferred = json::infer(&mut lines, &self.type_name, key, &reading, &mut |bytes| bar.set_position(bytes))?;
        bar.finish_and_clear();
        let mut learned = self.learned.lock().expect("no thread panics while it holds the lock");
        *learned = Learned {
            schema: Some(inferred.schema.clone()),
            left_out: inferred.left_out.clone(),
            maps: inferred.maps.clone(),
        };
        Ok(inferred)
    }
}

/// `field=how`.
fn field_and_how(text: &str) -> Result<(String, As), String> {
    let (field, how) = key_and_value(text)?;
    Ok((field, how.parse()?))
}

/// The paths of a key's parts.
fn paths(key: &str) -> Result<Vec<Vec<String>>, String> {
    split(key, ',').iter().map(|part| path(part.trim())).collect()
}

/// The names of a path.
fn path(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = split(text, '.').iter().map(|name| unescaped(name)).collect();
    match names.iter().any(String::is_empty) {
        true => Err(format!("{text:?} names no field; write a name, or names with dots between them")),
        false => Ok(names),
    }
}

/// The parts between separators that no backslash is before; escapes are kept.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for character in text.chars() {
        let part = parts.last_mut().expect("there is always a part");
        if character == separator && !is_escaped {
            parts.push(String::new());
            continue;
        }
        part.push(character);
        is_escaped = character == '\\' && !is_escaped;
    }
    parts
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

fn written(key: &[Vec<String>]) -> String {
    key.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(",")
}

/// A bar over the input's bytes, on a terminal only.
fn progress(input: &Input, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(input.bytes()).with_message(what).with_style(style.expect("the template is sound"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_dots_and_commas() {
        assert_eq!(paths("country, city.zip"), Ok(vec![vec!["country".into()], vec!["city".into(), "zip".into()]]));
        assert_eq!(paths(r"a\.b,c\,d,e\\"), Ok(vec![vec!["a.b".into()], vec!["c,d".into()], vec!["e\\".into()]]));
        assert!(paths("id,").is_err() && path("a..b").is_err());
    }
}
