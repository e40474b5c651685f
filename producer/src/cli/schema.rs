//! `schema`: prints a dataset's schema, as text or JSON; `run --schema` reads both.

use std::path::Path;

use crate::Producer;
use crate::schema::{Schema, TypeText};
use cenote_store::cli::{DatasetArgs, Failure, print_line};
use cenote_store::log::LogReader;
use clap::Args;
use serde_json::{Value, json};

/// Print the dataset's schema: types, keys, fields
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SchemaCommand {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Only this type, and those that it leads to
    #[arg(long = "type", value_name = "NAME")]
    type_name: Option<String>,
    /// Print the schema as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
It is the schema of the newest version. A file with it, edited, is what run --schema takes.

Examples:
  cenote-producer schema ./catalog
  cenote-producer schema ./catalog --type Movie --json > movie.json
  cenote-producer run ./catalog movies.jsonl --type Movie --schema movie.json

Exit code: 0 success; 1 failure; 2 wrong use.";

impl SchemaCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let storage = self.dataset.storage().await?;
        // An empty dataset has a schema without types; one that is not there is an error.
        LogReader::start(storage.clone()).await?;
        let (send, receive) = std::sync::mpsc::channel();
        let builder = Producer::builder_on(storage).declare_with(move |dataset, registry| {
            send.send(dataset.clone())?;
            Ok(registry.with_schema(dataset))
        });
        let loaded = builder.dry_run().await;
        let Ok(mut schema) = receive.try_recv() else {
            return Err(loaded.err().map_or_else(|| Failure::negative("no schema was read"), Into::into));
        };
        if let Some(name) = &self.type_name {
            let root = schema.find(name).filter(|id| !schema.get(*id).fields.is_empty());
            let root = root.ok_or_else(|| {
                let names: Vec<String> = schema.to_texts().into_iter().map(|of_type| of_type.name).collect();
                Failure::negative(format!("the dataset has no type {name}; it has {}", names.join(", ")))
            })?;
            schema = schema.only(&schema.led_to_from(root));
        }
        if self.json {
            return print_line(to_json(&schema));
        }
        schema.to_string().lines().try_for_each(print_line)
    }
}

/// The schema as JSON: types with their names, keys and fields.
fn to_json(schema: &Schema) -> Value {
    let types = schema.to_texts().into_iter().map(|of_type| {
        let fields: Vec<Value> =
            of_type.fields.iter().map(|(name, text)| json!({ "name": name, "type": text })).collect();
        match of_type.key.as_slice() {
            [] => json!({ "name": of_type.name, "fields": fields }),
            key => json!({ "name": of_type.name, "key": key, "fields": fields }),
        }
    });
    json!({ "types": types.collect::<Vec<_>>() })
}

/// Reads a schema from a file, which holds text or JSON.
pub(super) fn read_schema(path: &Path) -> Result<Schema, Failure> {
    let failed = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let schema = if text.trim_start().starts_with('{') {
        let value: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        Schema::of_texts(&from_json(&value).map_err(failed)?)
    } else {
        text.parse()
    };
    schema.map_err(|error| failed(error.to_string()))
}

fn from_json(value: &Value) -> Result<Vec<TypeText>, String> {
    let expected = "write {\"types\": [{\"name\": …, \"key\": [[…]], \"fields\": [{\"name\": …, \"type\": …}]}]}";
    let text =
        |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is no text; {expected}"));
    let list = |value: &Value, name: &str| match value.get(name).and_then(Value::as_array) {
        Some(list) => Ok(list.clone()),
        None => Err(format!("{name} is no list; {expected}")),
    };
    let mut types = Vec::new();
    for of_type in list(value, "types")? {
        let mut found = TypeText { name: text(&of_type["name"])?, ..TypeText::default() };
        if of_type.get("key").is_some() {
            for path in list(&of_type, "key")? {
                // A part of one name may stand without brackets.
                let names = path.as_array().cloned().unwrap_or_else(|| vec![path.clone()]);
                found.key.push(names.iter().map(text).collect::<Result<_, _>>()?);
            }
        }
        for field in list(&of_type, "fields")? {
            found.fields.push((text(&field["name"])?, text(&field["type"])?));
        }
        types.push(found);
    }
    Ok(types)
}
