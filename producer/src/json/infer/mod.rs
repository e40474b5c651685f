//! The schema of a file's records, for a type that the dataset does not have yet.
//!
//! One pass over the lines; what is kept is one tree of field names, with what was seen where first, so that an error
//! can name both lines that don't go together. A line with a mistake does not end the pass: all kinds of mistakes are reported
//! together. The rules are in the [module's table](super).

use std::collections::HashMap;
use std::io::Read;

use cenote_state::ids::{ColumnId, TypeId};
use cenote_state::schema::{Field, Schema, Shape, TypeKind, TypeSchema, ValueKind, limits};
use cenote_state::shown::is_plain;

use super::cursor::{Cursor, Token};
use super::error::{Fault, JsonError, JsonErrors, Problem, shortened};
use super::lines::Lines;
use super::number::{is_exact_f64, is_whole, out_of_range};
use super::reading::{As, Reading};

mod maps;
#[cfg(test)]
mod tests;

/// The field of a component that is in place of a list or a map within another.
pub(super) const ITEMS: &str = "items";

/// After so many more names, objects are looked at while the file is read: they may be maps.
const NAMES_LOOKED_AT: usize = 512;

/// What was found out about a file's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inferred {
    /// The root type, then its components.
    pub(crate) schema: Schema,
    /// How many records there are.
    pub(crate) records: u64,
    /// Fields without a type, null or empty on every line: they are not in the schema.
    pub(crate) left_out: Vec<String>,
    /// Fields whose objects were taken for maps without a request.
    pub(crate) maps: Vec<String>,
}

/// Reads the lines to their end. `key` has the paths of the key's parts; `progress` is called with the
/// bytes read.
///
/// # Errors
/// The lines that do not go together with those before them, or a schema that passes a limit.
pub(crate) fn infer<R: Read>(
    lines: &mut Lines<R>,
    type_name: &str,
    key: &[Vec<String>],
    reading: &Reading,
    progress: &mut dyn FnMut(u64),
) -> Result<Inferred, JsonErrors> {
    let file = lines.file().to_owned();
    let mut seen = Objects::default();
    let mut room = limits::COLUMNS;
    let mut errors = JsonErrors::default();
    while let Some((line, text)) = lines.next().map_err(|error| errors.ended_by(error))? {
        let mut cursor = Cursor::new(text);
        if let Err(fault) = record(&mut seen, &mut cursor, Place { line, reading, is_entry: false }, &mut room) {
            let is_final = matches!(fault.problem(), Problem::TooManyFields);
            let error = fault.on(&file, line);
            if is_final {
                return Err(errors.ended_by(error));
            }
            errors.add(error);
        }
        progress(lines.bytes());
    }
    errors.none_so_far()?;
    if seen.instances == 0 {
        return Err(Fault::from(Problem::Empty).on(&file, 0).into());
    }
    key.iter().filter_map(|path| seen.check_key(path).err()).for_each(|found| errors.add(found.on(&file)));
    seen.find_maps();
    let mut making = Making::default();
    let made = making.add_type(type_name, TypeKind::Root { key: key.to_vec() }, &seen, "");
    let found = made.err().into_iter().chain(std::mem::take(&mut making.found));
    found.for_each(|found| errors.add(found.on(&file)));
    errors.none_so_far()?;
    let checked = making.schema.check().map_err(Problem::Schema);
    checked.map_err(|problem| Fault::from(problem).on(&file, 0))?;
    let Making { schema, left_out, maps, .. } = making;
    Ok(Inferred { schema, records: seen.instances, left_out, maps })
}

/// Where a value is: on which line, and how it is read.
#[derive(Clone, Copy)]
struct Place<'r> {
    line: u64,
    reading: &'r Reading,
    is_entry: bool,
}

impl<'r> Place<'r> {
    fn field(self, name: &str) -> Place<'r> {
        Place { reading: self.reading.field(name).unwrap_or(Reading::nothing_said()), is_entry: false, ..self }
    }

    /// The values of a map: what is said of fields is said of theirs.
    fn entry(self) -> Place<'r> {
        Place { is_entry: true, ..self }
    }

    fn how(self) -> Option<As> {
        self.reading.how.filter(|how| !(self.is_entry && *how == As::Map))
    }
}

fn record(seen: &mut Objects, cursor: &mut Cursor<'_>, place: Place<'_>, room: &mut usize) -> Result<(), Fault> {
    match cursor.peek()? {
        Token::Object => seen.take(cursor, place, room)?,
        other => return Err(Problem::NotAnObject { found: other.shown() }.into()),
    }
    Ok(cursor.end()?)
}

/// All objects that were seen in one place.
#[derive(Clone, Debug, Default)]
struct Objects {
    instances: u64,
    first_line: u64,
    fields: Vec<Seen>,
    by_name: HashMap<String, usize>,
}

/// A field of them.
#[derive(Clone, Debug)]
struct Seen {
    name: String,
    /// The last object that had it, by number.
    instance: u64,
    /// The first line where it was missing or null.
    absent: Option<u64>,
    /// The first line where it was null.
    null: Option<u64>,
    /// How many objects had a value.
    count: u64,
    value: Value,
}

/// All values that were seen in one place.
#[derive(Clone, Debug, Default)]
struct Value {
    first_line: u64,
    what: What,
    /// The command line says that the objects are no maps.
    is_record: bool,
    /// The command line does not say that the objects are maps, and they look like it.
    is_recognised: bool,
}

#[derive(Clone, Debug, Default)]
enum What {
    #[default]
    Nothing,
    Bool,
    Number(Numbers),
    Text,
    Object(Objects),
    Map(Box<Value>),
    Array(Box<Value>),
}

/// The first lines where numbers were seen that decide on a type.
#[derive(Clone, Debug, Default)]
struct Numbers {
    negative: Option<u64>,
    /// Above `i64`, within `u64`.
    above: Option<u64>,
    /// Whole, but in no integer type.
    beyond: Option<(u64, String)>,
    fraction: Option<u64>,
    /// Whole, but not exactly an `f64`.
    inexact: Option<(u64, String)>,
    /// The command line says that they are floats.
    is_float: bool,
}

/// A problem that is known when all lines were read.
struct Found {
    line: u64,
    field: String,
    problem: Problem,
}

impl Found {
    fn on(self, file: &str) -> JsonError {
        JsonError { file: file.to_owned(), line: self.line, field: self.field, problem: self.problem }
    }
}

impl Objects {
    fn take(&mut self, cursor: &mut Cursor<'_>, place: Place<'_>, room: &mut usize) -> Result<(), Fault> {
        let line = place.line;
        self.instances += 1;
        if self.instances == 1 {
            self.first_line = line;
        }
        let instance = self.instances;
        cursor.object(|cursor, name| {
            let place = place.field(&name);
            if place.reading.how == Some(As::Skip) {
                return Ok(cursor.skip()?);
            }
            let index = self.index(&name, room).map_err(|problem| Fault::from(problem).within(&name))?;
            let seen = &mut self.fields[index];
            if std::mem::replace(&mut seen.instance, instance) == instance {
                return Err(Fault::from(Problem::FieldTwice).within(&name));
            }
            if seen.value.take(cursor, place, room).map_err(|fault| fault.within(&name))? {
                seen.count += 1;
            } else {
                seen.absent.get_or_insert(line);
                seen.null.get_or_insert(line);
            }
            Ok(())
        })?;
        for seen in self.fields.iter_mut().filter(|seen| seen.instance != instance) {
            seen.absent.get_or_insert(line);
        }
        Ok(())
    }

    /// The field of this name, which is there from now on.
    fn index(&mut self, name: &str, room: &mut usize) -> Result<usize, Problem> {
        if let Some(index) = self.by_name.get(name) {
            return Ok(*index);
        }
        if name.is_empty() || name.len() > limits::NAME_BYTES {
            return Err(Problem::Name { bytes: name.len() });
        }
        if !is_plain(name) {
            return Err(Problem::Schema(format!("the name {name:?} has control characters; rename the field")));
        }
        *room = room.checked_sub(1).ok_or(Problem::TooManyFields)?;
        let absent = (self.instances > 1).then_some(self.first_line);
        self.by_name.insert(name.to_owned(), self.fields.len());
        let value = Value::default();
        self.fields.push(Seen { name: name.to_owned(), instance: 0, absent, null: None, count: 0, value });
        Ok(self.fields.len() - 1)
    }

    /// That a key path leads to values that are always there. Their kinds are the schema's to judge.
    fn check_key(&self, path: &[String]) -> Result<(), Found> {
        let missing = |line| Err(Found { line, field: path.join("."), problem: Problem::MissingKey });
        let Some((name, rest)) = path.split_first() else { return Ok(()) };
        let Some(index) = self.by_name.get(name) else { return missing(self.first_line) };
        let seen = &self.fields[*index];
        match (&seen.value.what, seen.absent) {
            (_, Some(line)) => missing(line),
            (What::Object(inner), None) => {
                inner.check_key(rest).map_err(|found| Found { field: path.join("."), ..found })
            }
            _ => Ok(()),
        }
    }
}

impl Value {
    /// Takes one more value. Says whether there is one, or a null.
    fn take(&mut self, cursor: &mut Cursor<'_>, place: Place<'_>, room: &mut usize) -> Result<bool, Fault> {
        let (token, how) = (cursor.peek()?, place.how());
        if token == Token::Null {
            cursor.null()?;
            return Ok(false);
        }
        let is_scalar = matches!(token, Token::Text | Token::Number | Token::Bool);
        if how == Some(As::Json) || (how == Some(As::String) && is_scalar) {
            self.settle(Token::Text, place.line)?;
            cursor.skip()?;
            return Ok(true);
        }
        if matches!(self.what, What::Map(_)) || (how == Some(As::Map) && token == Token::Object) {
            self.entries(cursor, place, room)?;
            return Ok(true);
        }
        if let Some(how) = how.filter(|how| how.misses(token)) {
            return Err(Problem::NotAsSaid { found: token.shown(), wanted: how.shown() }.into());
        }
        self.settle(token, place.line)?;
        self.is_record |= how == Some(As::Record);
        match &mut self.what {
            What::Bool => drop(cursor.bool()?),
            What::Text => drop(cursor.text()?),
            What::Number(numbers) => {
                numbers.is_float |= how == Some(As::F64);
                numbers.take(cursor.number()?, place.line)?;
            }
            What::Object(objects) => {
                let names = objects.fields.len();
                objects.take(cursor, place, room)?;
                // Before the names fill the schema.
                if objects.fields.len() / NAMES_LOOKED_AT > names / NAMES_LOOKED_AT {
                    *room += self.become_map();
                }
            }
            What::Array(element) => {
                cursor.array(|cursor, index| element.element(cursor, place, room).map_err(|fault| fault.at(index)))?;
            }
            What::Nothing | What::Map(_) => unreachable!("settled by the first token that isn't null"),
        }
        Ok(true)
    }

    /// Takes the members of an object that is a map.
    fn entries(&mut self, cursor: &mut Cursor<'_>, place: Place<'_>, room: &mut usize) -> Result<(), Fault> {
        if matches!(self.what, What::Nothing) {
            (self.first_line, self.what) = (place.line, What::Map(Box::default()));
        }
        let What::Map(values) = &mut self.what else {
            return Err(
                Problem::MixedKinds { found: "an object", before: "other values", line: self.first_line }.into()
            );
        };
        if cursor.peek()? != Token::Object {
            let found = cursor.peek()?.shown();
            return Err(Problem::MixedKinds { found, before: "an object", line: self.first_line }.into());
        }
        cursor.object(|cursor, name| {
            let taken = match cursor.peek()? {
                Token::Null => Err(Problem::NullEntry.into()),
                _ => values.take(cursor, place.entry(), room).map(drop),
            };
            taken.map_err(|fault: Fault| fault.within(&name))
        })
    }

    fn element(&mut self, cursor: &mut Cursor<'_>, place: Place<'_>, room: &mut usize) -> Result<(), Fault> {
        match cursor.peek()? {
            Token::Null => Err(Problem::NullElement.into()),
            _ => self.take(cursor, place, room).map(drop),
        }
    }

    fn settle(&mut self, token: Token, line: u64) -> Result<(), Problem> {
        let before = match &self.what {
            What::Nothing => {
                self.first_line = line;
                self.what = What::of(token);
                return Ok(());
            }
            What::Bool => Token::Bool,
            What::Number(_) => Token::Number,
            What::Text => Token::Text,
            What::Object(_) | What::Map(_) => Token::Object,
            What::Array(_) => Token::Array,
        };
        if before == token {
            return Ok(());
        }
        Err(Problem::MixedKinds { found: token.shown(), before: before.shown(), line: self.first_line })
    }
}

impl What {
    fn of(token: Token) -> What {
        match token {
            Token::Null => What::Nothing,
            Token::Bool => What::Bool,
            Token::Number => What::Number(Numbers::default()),
            Token::Text => What::Text,
            Token::Array => What::Array(Box::default()),
            Token::Object => What::Object(Objects::default()),
        }
    }
}

impl Numbers {
    fn take(&mut self, number: &str, line: u64) -> Result<(), Problem> {
        if !is_whole(number) {
            self.fraction.get_or_insert(line);
            if number.parse().is_ok_and(f64::is_infinite) {
                return Err(out_of_range("f64", number, f64::MIN, f64::MAX));
            }
            return Ok(());
        }
        if number.starts_with('-') {
            self.negative.get_or_insert(line);
        }
        if number.parse::<i64>().is_err() {
            match number.parse::<u64>() {
                Ok(_) => drop(self.above.get_or_insert(line)),
                Err(_) => drop(self.beyond.get_or_insert_with(|| (line, number.to_owned()))),
            }
        }
        if !is_exact_f64(number) {
            self.inexact.get_or_insert_with(|| (line, number.to_owned()));
        }
        Ok(())
    }

    /// The type that holds all of them as they are; or the line that speaks against it.
    fn kind(&self) -> Result<ValueKind, (u64, Problem)> {
        match (self.fraction, &self.inexact, &self.beyond, self.above, self.negative) {
            (_, Some((line, number)), ..) if self.is_float => {
                Err((*line, Problem::NotExact { number: shortened(number), kind: "f64" }))
            }
            _ if self.is_float => Ok(ValueKind::F64),
            (Some(fraction_line), Some((line, _)), ..) => Err((*line, Problem::Inexact { fraction_line })),
            (Some(_), None, ..) => Ok(ValueKind::F64),
            (None, _, Some((line, number)), ..) => {
                // What could be written is the range of both integer types together.
                Err((*line, out_of_range("a whole number", number, i64::MIN, u64::MAX)))
            }
            (None, _, None, Some(line), Some(negative_line)) => Err((line, Problem::MixedSigns { negative_line })),
            (None, _, None, Some(_), None) => Ok(ValueKind::UInt(8)),
            (None, _, None, None, _) => Ok(ValueKind::Int(8)),
        }
    }
}

/// The schema on its way.
#[derive(Default)]
struct Making {
    schema: Schema,
    left_out: Vec<String>,
    maps: Vec<String>,
    /// What is wrong with single fields.
    found: Vec<Found>,
}

impl Making {
    /// Adds a type and the components below it; none if no field of it has a type.
    fn add_type(&mut self, name: &str, kind: TypeKind, seen: &Objects, path: &str) -> Result<Option<TypeId>, Found> {
        let fault = |problem| Found { line: seen.first_line, field: path.to_owned(), problem };
        if self.schema.find(name).is_some() {
            let twice = format!("two components would be named {name}; rename a field");
            return Err(fault(Problem::Schema(twice)));
        }
        if name.is_empty() || name.len() > limits::NAME_BYTES {
            return Err(fault(Problem::Name { bytes: name.len() }));
        }
        let id = TypeId(u16::try_from(self.schema.types.len()).expect("there are no more types than fields"));
        let left_out = self.left_out.len();
        let fields = Vec::new();
        let of_type = TypeSchema { name: name.to_owned(), kind, fields, next_column: 0, segment_rows_log2: 0 };
        self.schema.types.push(of_type);
        for field in &seen.fields {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            match self.shape(name, field, &path)? {
                Some(shape) => self.add_field(id, field, shape),
                None => self.left_out.push(path),
            }
        }
        if self.schema.get(id).fields.is_empty() {
            // A record that holds it is left out as a whole.
            self.schema.types.truncate(id.index());
            self.left_out.truncate(left_out);
            return Ok(None);
        }
        Ok(Some(id))
    }

    fn add_field(&mut self, id: TypeId, seen: &Seen, shape: Shape) {
        let of_type = &mut self.schema.types[id.index()];
        let (column, optional) = (ColumnId(of_type.next_column), seen.absent.is_some());
        of_type.next_column += 1;
        let name = seen.name.clone();
        of_type.fields.push(Field { name, column, optional, sparse: optional, shape, encoding: 0 });
    }

    fn shape(&mut self, parent: &str, seen: &Seen, path: &str) -> Result<Option<Shape>, Found> {
        let component = format!("{parent}.{}", seen.name);
        Ok(match &seen.value.what {
            What::Array(element) => self.kind(component, element, path)?.map(Shape::List),
            What::Map(values) => {
                if seen.value.is_recognised {
                    self.maps.push(path.to_owned());
                }
                self.kind(component, values, path)?.map(|kind| Shape::Map(ValueKind::String, kind))
            }
            _ => self.kind(component, &seen.value, path)?.map(Shape::One),
        })
    }

    fn kind(&mut self, component: String, value: &Value, path: &str) -> Result<Option<ValueKind>, Found> {
        Ok(match &value.what {
            What::Nothing => None,
            // A list or a map within one is a component that holds it.
            What::Array(_) | What::Map(_) => {
                let mut holder = Objects { instances: 1, first_line: value.first_line, ..Objects::default() };
                let (name, value) = (ITEMS.to_owned(), value.clone());
                holder.fields.push(Seen { name, instance: 0, absent: None, null: None, count: 1, value });
                self.add_type(&component, TypeKind::Component, &holder, path)?.map(ValueKind::Component)
            }
            What::Bool => Some(ValueKind::Bool),
            What::Text => Some(ValueKind::String),
            What::Number(numbers) => {
                let kind = numbers.kind();
                // Others may be wrong as well, so this one counts as something until all are known.
                Some(kind.unwrap_or_else(|(line, problem)| {
                    self.found.push(Found { line, field: path.to_owned(), problem });
                    ValueKind::F64
                }))
            }
            What::Object(objects) => {
                self.add_type(&component, TypeKind::Component, objects, path)?.map(ValueKind::Component)
            }
        })
    }
}
