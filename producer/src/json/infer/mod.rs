//! The schema of a file's records, for a type that the dataset does not have yet.
//!
//! One pass over the lines; what is kept is one tree of field names, with what was seen where first, so that an error
//! can name both lines that don't go together. The rules are in the [module's table](super).

use std::collections::HashMap;
use std::io::Read;

use cenote_state::ids::{ColumnId, TypeId};
use cenote_state::schema::{Field, Schema, Shape, TypeKind, TypeSchema, ValueKind, limits};
use cenote_state::shown::is_plain;

use super::cursor::{Cursor, Token};
use super::error::{Fault, JsonError, Problem};
use super::lines::Lines;
use super::number::{is_exact_f64, is_whole, out_of_range};

#[cfg(test)]
mod tests;

/// What was found out about a file's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// The root type, then its components.
    pub schema: Schema,
    /// How many records there are.
    pub records: u64,
    /// Fields without a type, null or empty on every line: they are not in the schema.
    pub left_out: Vec<String>,
}

/// Reads the lines to their end. `key` has the paths of the key's parts; `progress` is called with the
/// bytes read.
///
/// # Errors
/// The first line that does not go together with those before it, or a schema that passes a limit.
pub fn infer<R: Read>(
    lines: &mut Lines<R>,
    type_name: &str,
    key: &[Vec<String>],
    progress: &mut dyn FnMut(u64),
) -> Result<Inferred, JsonError> {
    let file = lines.file().to_owned();
    let mut seen = Objects::default();
    let mut room = limits::COLUMNS;
    while let Some((line, text)) = lines.next()? {
        let mut cursor = Cursor::new(text);
        record(&mut seen, &mut cursor, line, &mut room).map_err(|fault| fault.on(&file, line))?;
        progress(lines.bytes());
    }
    if seen.instances == 0 {
        return Err(Fault::from(Problem::Empty).on(&file, 0));
    }
    key.iter().try_for_each(|path| seen.check_key(path)).map_err(|found| found.on(&file))?;
    let mut making = Making::default();
    making.add_type(type_name, TypeKind::Root { key: key.to_vec() }, &seen, "").map_err(|found| found.on(&file))?;
    let checked = making.schema.check().map_err(Problem::Schema);
    checked.map_err(|problem| Fault::from(problem).on(&file, 0))?;
    Ok(Inferred { schema: making.schema, records: seen.instances, left_out: making.left_out })
}

fn record(seen: &mut Objects, cursor: &mut Cursor<'_>, line: u64, room: &mut usize) -> Result<(), Fault> {
    match cursor.peek()? {
        Token::Object => seen.take(cursor, line, room)?,
        other => return Err(Problem::NotAnObject { found: other.shown() }.into()),
    }
    Ok(cursor.end()?)
}

/// All objects that were seen in one place.
#[derive(Debug, Default)]
struct Objects {
    instances: u64,
    first_line: u64,
    fields: Vec<Seen>,
    by_name: HashMap<String, usize>,
}

/// A field of them.
#[derive(Debug)]
struct Seen {
    name: String,
    /// The last object that had it, by number.
    instance: u64,
    /// The first line where it was missing or null.
    absent: Option<u64>,
    value: Value,
}

/// All values that were seen in one place.
#[derive(Debug, Default)]
struct Value {
    first_line: u64,
    what: What,
}

#[derive(Debug, Default)]
enum What {
    #[default]
    Nothing,
    Bool,
    Number(Numbers),
    Text,
    Object(Objects),
    Array(Box<Value>),
}

/// The first lines where numbers were seen that decide on a type.
#[derive(Debug, Default)]
struct Numbers {
    negative: Option<u64>,
    /// Above `i64`, within `u64`.
    above: Option<u64>,
    /// Whole, but in no integer type.
    beyond: Option<(u64, String)>,
    fraction: Option<u64>,
    /// Whole, but not exactly an `f64`.
    inexact: Option<u64>,
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
    fn take(&mut self, cursor: &mut Cursor<'_>, line: u64, room: &mut usize) -> Result<(), Fault> {
        self.instances += 1;
        if self.instances == 1 {
            self.first_line = line;
        }
        let instance = self.instances;
        cursor.object(|cursor, name| {
            let index = self.index(&name, room).map_err(|problem| Fault::from(problem).within(&name))?;
            let seen = &mut self.fields[index];
            if std::mem::replace(&mut seen.instance, instance) == instance {
                return Err(Fault::from(Problem::FieldTwice).within(&name));
            }
            if !seen.value.take(cursor, line, room).map_err(|fault| fault.within(&name))? {
                seen.absent.get_or_insert(line);
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
        self.fields.push(Seen { name: name.to_owned(), instance: 0, absent, value: Value::default() });
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
    fn take(&mut self, cursor: &mut Cursor<'_>, line: u64, room: &mut usize) -> Result<bool, Fault> {
        let token = cursor.peek()?;
        if token == Token::Null {
            cursor.null()?;
            return Ok(false);
        }
        self.settle(token, line)?;
        match &mut self.what {
            What::Bool => drop(cursor.bool()?),
            What::Text => drop(cursor.text()?),
            What::Number(numbers) => numbers.take(cursor.number()?, line)?,
            What::Object(objects) => objects.take(cursor, line, room)?,
            What::Array(element) => {
                cursor.array(|cursor, index| element.element(cursor, line, room).map_err(|fault| fault.at(index)))?;
            }
            What::Nothing => unreachable!("settled by the first token that isn't null"),
        }
        Ok(true)
    }

    fn element(&mut self, cursor: &mut Cursor<'_>, line: u64, room: &mut usize) -> Result<(), Fault> {
        match cursor.peek()? {
            Token::Null => Err(Problem::NullElement.into()),
            Token::Array => Err(Problem::NestedArray.into()),
            _ => self.take(cursor, line, room).map(drop),
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
            What::Object(_) => Token::Object,
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
            self.inexact.get_or_insert(line);
        }
        Ok(())
    }

    /// The type that holds all of them as they are; or the line that speaks against it.
    fn kind(&self) -> Result<ValueKind, (u64, Problem)> {
        match (self.fraction, self.inexact, &self.beyond, self.above, self.negative) {
            (Some(fraction_line), Some(line), ..) => Err((line, Problem::Inexact { fraction_line })),
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
            _ => self.kind(component, &seen.value, path)?.map(Shape::One),
        })
    }

    fn kind(&mut self, component: String, value: &Value, path: &str) -> Result<Option<ValueKind>, Found> {
        Ok(match &value.what {
            What::Nothing | What::Array(_) => None,
            What::Bool => Some(ValueKind::Bool),
            What::Text => Some(ValueKind::String),
            What::Number(numbers) => {
                let kind = numbers.kind();
                Some(kind.map_err(|(line, problem)| Found { line, field: path.to_owned(), problem })?)
            }
            What::Object(objects) => {
                self.add_type(&component, TypeKind::Component, objects, path)?.map(ValueKind::Component)
            }
        })
    }
}
