//! From a line to a row of the chain's schema.
//!
//! Values are written where they stand in the line; what is kept between lines are buffers. Components are written
//! before the cell that refers to them, and become ordinals by way of the [`Interner`].
//!
//! Rules: sets and maps are sorted by value and hold nothing twice (see [`row`](cenote_state::row)); limits are
//! checked before bytes are copied; a value that does not fit is an error, never another value.

use std::collections::HashMap;
use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::record::Interner;
use cenote_state::row::{RECORD_BYTES_MAX, Row};
use cenote_state::schema::{Schema, Shape, TypeSchema, ValueKind};

use super::cursor::{Cursor, Token};
use super::error::{Fault, JsonError, Problem};
use value::{Keys, Sorter};

mod value;

#[cfg(test)]
mod tests;

/// Makes rows from lines. Keep it: its buffers are reused.
#[derive(Debug)]
pub struct RowReader {
    schema: Arc<Schema>,
    root: TypeId,
    /// By type: the fields by name, and those that are part of the root's key.
    types: Vec<TypeFields>,
    keys: Keys,
    spare: Vec<Spare>,
}

#[derive(Debug, Default)]
struct TypeFields {
    by_name: HashMap<String, usize>,
    is_key: Vec<bool>,
}

/// What a record needs while it is read.
#[derive(Debug, Default)]
struct Spare {
    row: Row,
    seen: Vec<bool>,
}

impl RowReader {
    /// For records of the root type `root` of this schema, the chain's.
    #[must_use]
    pub fn new(schema: &Arc<Schema>, root: TypeId) -> RowReader {
        let mut types: Vec<TypeFields> = schema.types.iter().map(TypeFields::new).collect();
        for path in schema.get(root).key_paths() {
            mark_key(schema, root, path, &mut types);
        }
        RowReader { keys: Keys::new(schema), schema: Arc::clone(schema), root, types, spare: Vec::new() }
    }

    /// Reads one line into `row`, which is cleared first; its components go to `interner`.
    pub fn read(
        &mut self,
        file: &str,
        line: u64,
        text: &str,
        interner: &mut dyn Interner,
        row: &mut Row,
    ) -> Result<(), JsonError> {
        self.line(text, interner, row).map_err(|fault| fault.on(file, line))
    }

    fn line(&mut self, text: &str, interner: &mut dyn Interner, row: &mut Row) -> Result<(), Fault> {
        let mut cursor = Cursor::new(text);
        match cursor.peek()? {
            Token::Object => {}
            other => return Err(Problem::NotAnObject { found: other.shown() }.into()),
        }
        let mut seen = Vec::new();
        self.record(self.root, &mut cursor, interner, row, &mut seen)?;
        Ok(cursor.end()?)
    }

    /// Reads an object into the row of a record.
    fn record(
        &mut self,
        id: TypeId,
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        row: &mut Row,
        seen: &mut Vec<bool>,
    ) -> Result<(), Fault> {
        let schema = Arc::clone(&self.schema);
        let of_type = schema.get(id);
        row.clear(of_type.fields.len());
        seen.clear();
        seen.resize(of_type.fields.len(), false);
        cursor.object(|cursor, name| {
            let field = self.types[id.index()].by_name.get(name.as_ref()).copied();
            let read = match field {
                Some(field) if std::mem::replace(&mut seen[field], true) => Err(Problem::FieldTwice.into()),
                Some(field) => self.field(of_type, field, cursor, interner, row),
                None => unknown(of_type, cursor),
            };
            read.map_err(|fault| fault.within(&name))
        })?;
        self.check_missing(id, of_type, row)
    }

    fn field(
        &mut self,
        of_type: &TypeSchema,
        index: usize,
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        row: &mut Row,
    ) -> Result<(), Fault> {
        if cursor.peek()? == Token::Null {
            // Whether it may be absent is checked with those that are missing.
            return Ok(cursor.null()?);
        }
        let field = &of_type.fields[index];
        row.set(index, |out| match &field.shape {
            Shape::One(kind) => self.value(kind, cursor, interner, out),
            Shape::List(kind) => self.list(field, kind, cursor, interner, out),
            Shape::Set(kind) => self.set(field, kind, cursor, interner, out),
            Shape::Map(key, value) => self.map(field, [key, value], cursor, interner, out),
        })
    }

    fn check_missing(&self, id: TypeId, of_type: &TypeSchema, row: &Row) -> Result<(), Fault> {
        for (index, field) in of_type.fields.iter().enumerate() {
            if field.optional || row.cell(index).is_some() {
                continue;
            }
            let problem = match self.types[id.index()].is_key[index] {
                true => Problem::MissingKey,
                false => Problem::Missing { expected: self.schema.display_field(field) },
            };
            return Err(Fault::from(problem).within(&field.name));
        }
        Ok(())
    }

    fn list(
        &mut self,
        field: &cenote_state::schema::Field,
        kind: &ValueKind,
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.expect(cursor, Token::Array, || self.schema.display_field(field), "write an array")?;
        let framed = self.keys.is_variable(kind);
        let count_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut count: u32 = 0;
        cursor.array(|cursor, index| {
            count = index as u32 + 1;
            let written = framing(framed, out, |out| self.element(kind, cursor, interner, out));
            written.map_err(|fault| fault.at(index))
        })?;
        out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }

    fn set(
        &mut self,
        field: &cenote_state::schema::Field,
        kind: &ValueKind,
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.expect(cursor, Token::Array, || self.schema.display_field(field), "write an array")?;
        let mut sorter = Sorter::default();
        cursor.array(|cursor, index| {
            let key = sorter.key(|bytes| self.element(kind, cursor, interner, bytes));
            key.and_then(|()| check_room(out.len() + sorter.bytes())).map_err(|fault| fault.at(index))
        })?;
        sorter.sort(self.keys.order(kind));
        sorter.write(self.keys.is_variable(kind), false, out);
        Ok(())
    }

    fn map(
        &mut self,
        field: &cenote_state::schema::Field,
        [key, value]: [&ValueKind; 2],
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.expect(cursor, Token::Object, || self.schema.display_field(field), "write an object")?;
        let mut sorter = Sorter::default();
        cursor.object(|cursor, name| {
            let entry = sorter.key(|bytes| self.map_key(key, &name, interner, bytes));
            let entry = entry.and_then(|()| sorter.value(|bytes| self.element(value, cursor, interner, bytes)));
            entry.and_then(|()| check_room(out.len() + sorter.bytes())).map_err(|fault| fault.within(&name))
        })?;
        if !sorter.sort(self.keys.order(key)) {
            return Err(Problem::FieldTwice.into());
        }
        sorter.write(self.keys.is_variable(key), self.keys.is_variable(value), out);
        Ok(())
    }

    /// A value within a list, set or map.
    fn element(
        &mut self,
        kind: &ValueKind,
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match (cursor.peek()?, kind) {
            (Token::Null, _) => Err(Problem::NullElement.into()),
            (Token::Array, kind) if !matches!(kind, ValueKind::Key(_)) => Err(Problem::NestedArray.into()),
            _ => self.value(kind, cursor, interner, out),
        }
    }

    /// A component: its row to the interner, its ordinal to `out`.
    fn component(
        &mut self,
        id: TypeId,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Self, &mut Spare, &mut dyn Interner) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut spare = self.spare.pop().unwrap_or_default();
        let filled = fill(self, &mut spare, &mut *interner);
        let ordinal =
            filled.and_then(|()| interner.intern(id, &spare.row).map_err(|error| Problem::from(error).into()));
        self.spare.push(spare);
        append(out, &ordinal?.0.to_le_bytes())
    }

    fn expect(
        &self,
        cursor: &mut Cursor<'_>,
        wanted: Token,
        expected: impl FnOnce() -> String,
        remedy: &'static str,
    ) -> Result<(), Problem> {
        match cursor.peek()? {
            found if found == wanted => Ok(()),
            found => Err(Problem::WrongType { found: cursor.shown(found)?, expected: expected(), remedy }),
        }
    }
}

impl TypeFields {
    fn new(of_type: &TypeSchema) -> TypeFields {
        let names = of_type.fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index));
        TypeFields { by_name: names.collect(), is_key: vec![false; of_type.fields.len()] }
    }
}

/// Marks the fields that a key path leads through.
fn mark_key(schema: &Schema, root: TypeId, path: &[String], types: &mut [TypeFields]) {
    let mut at = root;
    for name in path {
        let Some(field) = schema.get(at).field(name) else { return };
        types[at.index()].is_key[field] = true;
        if let Shape::One(ValueKind::Component(next)) = schema.get(at).fields[field].shape {
            at = next;
        }
    }
}

fn unknown(of_type: &TypeSchema, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.says_nothing()? {
        return Ok(());
    }
    Err(Problem::UnknownField { type_name: of_type.name.clone() }.into())
}

fn check_room(bytes: usize) -> Result<(), Fault> {
    if bytes > RECORD_BYTES_MAX { Err(Problem::RecordTooLarge.into()) } else { Ok(()) }
}

/// Appends bytes, if the record stays within its limit.
fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fault> {
    check_room(out.len().saturating_add(bytes.len()))?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes a value with its length before it, if its kind asks for that.
fn framing(
    framed: bool,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if !framed {
        return write(out);
    }
    append(out, &[0; 4])?;
    let start = out.len();
    write(out)?;
    let length = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&length.to_le_bytes());
    Ok(())
}
