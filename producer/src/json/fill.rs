//! A file as the content of a cycle.

use std::collections::HashMap;
use std::io::Read;

use cenote_state::row::Row;
use cenote_state::schema::TypeSchema;
use serde_json::Value;

use super::error::{Fault, JsonError, JsonErrors, Problem};
use super::lines::Lines;
use super::read::RowReader;
use super::reading::Reading;
use crate::error::DuplicatesOfType;
use crate::{BoxError, Writer};

/// Adds a record for every line; returns their number. `progress` is called with the bytes read.
///
/// # Errors
/// [`JsonErrors`], boxed, if lines are no records of the type; else the writer's errors.
pub(crate) fn fill<R: Read>(
    writer: &mut Writer,
    type_name: &str,
    lines: &mut Lines<R>,
    reading: &Reading,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, BoxError> {
    let schema = writer.schema().clone();
    let root = schema.find(type_name).filter(|id| schema.get(*id).is_root());
    let root = root.ok_or_else(|| format!("{type_name} is no root type of the dataset; declare it first"))?;
    let mut reader = RowReader::new(&schema, root, reading)?;
    let file = lines.file().to_owned();
    let (mut row, mut records, mut errors) = (Row::default(), 0, JsonErrors::default());
    while let Some((line, text)) = lines.next().map_err(|error| errors.ended_by(error))? {
        match reader.read(&file, line, text, &mut writer.input, &mut row) {
            Ok(()) => writer.add_canonical(root, &row)?,
            Err(error) => errors.add(error),
        }
        records += 1;
        progress(lines.bytes());
    }
    errors.none_so_far()?;
    Ok(records)
}

/// Names the lines of keys that a cycle was given twice: reads the lines once more.
///
/// # Errors
/// If they can't be read.
pub(crate) fn explain_duplicates<R: Read>(
    lines: &mut Lines<R>,
    of_type: &TypeSchema,
    found: &DuplicatesOfType,
) -> Result<JsonError, JsonError> {
    let mut lines_of: HashMap<&str, Vec<u64>> = found.first.iter().map(|key| (key.as_str(), Vec::new())).collect();
    while let Some((line, text)) = lines.next()? {
        let Ok(record) = serde_json::from_str::<Value>(text) else { continue };
        if let Some(lines) = lines_of.get_mut(shown_key(&record, of_type).as_str()) {
            lines.push(line);
        }
    }
    let mut keys: Vec<(String, Vec<u64>)> = Vec::new();
    for key in &found.first {
        // A key that comes a third time is named a second time.
        if let Some(lines) = lines_of.remove(key.as_str()) {
            keys.push((key.clone(), lines));
        }
    }
    let (type_name, count) = (found.type_name.clone(), found.count);
    Ok(Fault::from(Problem::DuplicateKeys { type_name, count, keys }).on(lines.file(), 0))
}

/// A record's key as the producer shows it: `17`, or `nl, 17`.
fn shown_key(record: &Value, of_type: &TypeSchema) -> String {
    let mut parts = Vec::new();
    for path in of_type.key_paths() {
        let found = path.iter().try_fold(record, |at, name| at.get(name));
        show_parts(found.unwrap_or(&Value::Null), &mut parts);
    }
    parts.join(", ")
}

fn show_parts(value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::String(text) => parts.push(text.clone()),
        Value::Array(several) => several.iter().for_each(|value| show_parts(value, parts)),
        other => parts.push(other.to_string()),
    }
}
