//! From a line to a row of the chain's schema.
//!
//! Values are read in place; only buffers are kept between lines. Components are written before the cell that refers to
//! them, and the [`Interner`] makes ordinals of them.
//!
//! Rules: sets and maps are sorted by value and hold nothing twice (see [`row`](cenote_state::row)); limits are
//! checked before bytes are copied; a value that does not fit is an error, never another value.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::record::Interner;
use cenote_state::row::{CellForm, ElementForm, RECORD_BYTES_MAX, Row, Sorter, push_count, push_element_with};
use cenote_state::schema::{Field, KeyError, Schema, Shape, TypeSchema, ValueKind};

use super::cursor::{Cursor, Token};
use super::error::{Fault, JsonError, Problem};
use super::infer::ITEMS;
use super::reading::{As, Reading};

mod value;

#[cfg(test)]
mod tests;

/// Makes rows from lines. Keep it: its buffers are reused.
#[derive(Debug)]
pub(super) struct RowReader {
    schema: Arc<Schema>,
    root: TypeId,
    types: Arc<[TypeFields]>,
    spare: Vec<Spare>,
    sorters: Vec<Sorter>,
    /// Whether numbers and bools are taken as text in the field that is being read.
    is_as_text: bool,
}

/// What is worked out once of one type.
#[derive(Debug)]
struct TypeFields {
    by_name: HashMap<String, usize>,
    /// What the cells are, by field.
    cells: Vec<CellForm>,
    /// Whether the root's key leads through the field.
    is_key: Vec<bool>,
    /// The kinds of a root's key parts; those of a `Key<T>` in it are T's. None for a component.
    key: Vec<ValueKind>,
    /// How the fields are read, where the command line says so.
    how: Vec<Option<As>>,
    /// Names that are passed over.
    skipped: HashSet<String>,
}

/// What a record needs while it is read.
#[derive(Debug, Default)]
struct Spare {
    row: Row,
    seen: Vec<bool>,
}

impl RowReader {
    /// For records of the root type `root` of this schema, the chain's.
    ///
    /// # Errors
    /// If the key of a root is not sound: only a schema made by hand has such a key.
    pub(super) fn new(schema: &Arc<Schema>, root: TypeId, reading: &Reading) -> Result<RowReader, KeyError> {
        let types = schema.iter().map(|(id, _)| TypeFields::new(schema, id));
        let mut types: Vec<TypeFields> = types.collect::<Result<_, _>>()?;
        for path in schema.resolve_key(root)? {
            path.fields(root).for_each(|(id, field)| types[id.index()].is_key[field] = true);
        }
        for (path, how) in reading.paths() {
            let Some((name, parents)) = path.split_last() else { continue };
            let Some(owner) = type_at(schema, root, parents) else { continue };
            match (how, schema.get(owner).field(name)) {
                (As::Skip, _) => drop(types[owner.index()].skipped.insert(name.clone())),
                (how, Some(field)) => types[owner.index()].how[field] = Some(how),
                (_, None) => {}
            }
        }
        let (schema, types) = (Arc::clone(schema), types.into());
        Ok(RowReader { schema, root, types, spare: Vec::new(), sorters: Vec::new(), is_as_text: false })
    }

    /// Reads one line into `row`, which is cleared first, and its components to `interner`.
    ///
    /// # Errors
    /// If the line is no record of the type, with the field and what to do.
    pub(super) fn read(
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
        let (schema, types) = (Arc::clone(&self.schema), Arc::clone(&self.types));
        let (of_type, plan) = (schema.get(id), &types[id.index()]);
        row.clear(of_type.fields.len());
        seen.clear();
        seen.resize(of_type.fields.len(), false);
        cursor.object(|cursor, name| {
            let field = plan.by_name.get(name.as_ref()).copied();
            let read = match field {
                Some(field) if std::mem::replace(&mut seen[field], true) => Err(Problem::FieldTwice.into()),
                _ if plan.skipped.contains(name.as_ref()) => cursor.skip().map_err(Fault::from),
                Some(field) => self.field((of_type, plan), field, cursor, interner, row),
                None => unknown(of_type, cursor),
            };
            read.map_err(|fault| fault.within(&name))
        })?;
        self.check_missing(of_type, plan, row)
    }

    fn field(
        &mut self,
        (of_type, plan): (&TypeSchema, &TypeFields),
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
        let how = plan.how[index];
        let around = std::mem::replace(&mut self.is_as_text, how == Some(As::String));
        let read = row.set(index, |out| match (&field.shape, &plan.cells[index]) {
            (Shape::One(kind @ (ValueKind::String | ValueKind::Dedup(_))), _) if how == Some(As::Json) => {
                let text = cursor.raw()?;
                self.text(kind, text, interner, out)
            }
            (Shape::List(kind), CellForm::List(form)) => self.list(field, (kind, form), cursor, interner, out),
            (Shape::Set(kind), CellForm::Set(form)) => self.set(field, (kind, form), cursor, interner, out),
            (Shape::Map(key, value), CellForm::Map(key_form, value_form)) => {
                self.map(field, [(key, key_form), (value, value_form)], cursor, interner, out)
            }
            (shape, _) => {
                let kind = shape.kinds().next().expect("every shape has a kind");
                self.value(kind, cursor, interner, out)
            }
        });
        self.is_as_text = around;
        read
    }

    fn check_missing(&self, of_type: &TypeSchema, plan: &TypeFields, row: &Row) -> Result<(), Fault> {
        for (index, field) in of_type.fields.iter().enumerate() {
            if field.optional || row.cell(index).is_some() {
                continue;
            }
            let problem = match plan.is_key[index] {
                true => Problem::MissingKey,
                false => Problem::Missing { expected: self.schema.display_field(field) },
            };
            return Err(Fault::from(problem).within(&field.name));
        }
        Ok(())
    }

    fn list(
        &mut self,
        field: &Field,
        (kind, form): (&ValueKind, &ElementForm),
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.expect(cursor, Token::Array, || self.schema.display_field(field), "write an array")?;
        let count_at = out.len();
        push_count(0, out);
        let mut count: u32 = 0;
        cursor.array(|cursor, index| {
            count = index as u32 + 1;
            let written = push_element_with(form.is_sized(), out, |out| self.element(kind, cursor, interner, out));
            written.map_err(|fault| fault.at(index))
        })?;
        out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }

    fn set(
        &mut self,
        field: &Field,
        (kind, form): (&ValueKind, &ElementForm),
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.expect(cursor, Token::Array, || self.schema.display_field(field), "write an array")?;
        let mut sorter = self.sorter();
        cursor.array(|cursor, index| {
            let key = sorter.key(|bytes| self.element(kind, cursor, interner, bytes));
            key.and_then(|()| check_room(out.len() + sorter.bytes())).map_err(|fault| fault.at(index))
        })?;
        sorter.sort(form.order());
        sorter.write([form.is_sized(), false], out);
        self.sorters.push(sorter);
        Ok(())
    }

    fn map(
        &mut self,
        field: &Field,
        [(key, key_form), (value, value_form)]: [(&ValueKind, &ElementForm); 2],
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.expect(cursor, Token::Object, || self.schema.display_field(field), "write an object")?;
        let mut sorter = self.sorter();
        cursor.object(|cursor, name| {
            let entry = sorter.key(|bytes| self.map_key(key, &name, interner, bytes));
            let entry = entry.and_then(|()| sorter.value(|bytes| self.element(value, cursor, interner, bytes)));
            entry.and_then(|()| check_room(out.len() + sorter.bytes())).map_err(|fault| fault.within(&name))
        })?;
        if !sorter.sort(key_form.order()) {
            return Err(Problem::FieldTwice.into());
        }
        sorter.write([key_form.is_sized(), value_form.is_sized()], out);
        self.sorters.push(sorter);
        Ok(())
    }

    fn sorter(&mut self) -> Sorter {
        let mut sorter = self.sorters.pop().unwrap_or_default();
        sorter.clear();
        sorter
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
            (token, ValueKind::Component(id)) if self.is_written_as_items(*id, token, cursor) => {
                self.component(*id, interner, out, |reader, spare, interner| {
                    let (schema, types) = (Arc::clone(&reader.schema), Arc::clone(&reader.types));
                    spare.row.clear(1);
                    reader.field((schema.get(*id), &types[id.index()]), 0, cursor, interner, &mut spare.row)
                })
            }
            (Token::Array, kind) if !matches!(kind, ValueKind::Key(_)) => {
                Err(Problem::NestedArray { expected: self.expected(kind) }.into())
            }
            _ => self.value(kind, cursor, interner, out),
        }
    }

    /// Whether the value that comes is the list or the map that a component of this type replaces. A component's one field
    /// `items` may be written as well.
    fn is_written_as_items(&self, id: TypeId, token: Token, cursor: &Cursor<'_>) -> bool {
        let [field] = self.schema.get(id).fields.as_slice() else { return false };
        match (&field.shape, token) {
            _ if field.name != ITEMS => false,
            (Shape::List(_) | Shape::Set(_), Token::Array) => true,
            (Shape::Map(..), Token::Object) => {
                let mut names = 0;
                let mut is_component = false;
                let walked = cursor.clone().object(|cursor, name| {
                    names += 1;
                    is_component = names == 1 && name == ITEMS && cursor.peek()? == Token::Object;
                    cursor.skip()
                });
                walked.is_ok() && !is_component
            }
            _ => false,
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
    fn new(schema: &Schema, id: TypeId) -> Result<TypeFields, KeyError> {
        let of_type = schema.get(id);
        let names = of_type.fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index));
        let cells = of_type.fields.iter().map(|field| CellForm::new(schema, &field.shape));
        // A component has no key, and a removed type has none that leads anywhere.
        let key = schema.key_leaves(id).unwrap_or_default();
        Ok(TypeFields {
            by_name: names.collect(),
            cells: cells.collect::<Result<_, _>>()?,
            is_key: vec![false; of_type.fields.len()],
            key: key.into_iter().cloned().collect(),
            how: vec![None; of_type.fields.len()],
            skipped: HashSet::new(),
        })
    }
}

/// The type whose fields the objects at this path have.
fn type_at(schema: &Schema, root: TypeId, path: &[String]) -> Option<TypeId> {
    path.iter().try_fold(root, |at, name| {
        let of_type = schema.get(at);
        let below = component_of(&of_type.fields[of_type.field(name)?])?;
        let inner = schema.get(below).fields.as_slice();
        Some(match inner {
            [items] if items.name == ITEMS => component_of(items).unwrap_or(below),
            _ => below,
        })
    })
}

fn component_of(field: &Field) -> Option<TypeId> {
    field.shape.kinds().find_map(|kind| match kind {
        ValueKind::Component(id) => Some(*id),
        _ => None,
    })
}

fn unknown(of_type: &TypeSchema, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.is_empty_value()? {
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
