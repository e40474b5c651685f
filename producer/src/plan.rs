//! What the producer asks of every row, worked out once per schema: where its references are, and what its key is.
//!
//! Rows come in canonical form ([`cenote_state::row`]), from a user or from a segment; a plan walks both.

use std::collections::BTreeMap;

use cenote_state::ids::{ColumnId, Ordinal, TypeId};
use cenote_state::layout::ValueForm;
use cenote_state::row::{CellForm, Row};
use cenote_state::schema::{KeyError, Schema, Shape, ValueKind};
use cenote_state::segment::RowAt;

use crate::key::KeyReader;

/// Plans for all types of a schema.
pub(crate) struct Plans {
    types: Vec<TypePlan>,
}

/// The plan for one type.
pub(crate) struct TypePlan {
    /// Its columns, in the order of its fields.
    pub(crate) columns: Vec<ColumnId>,
    /// What its cells are, in the same order.
    pub(crate) cells: Vec<CellForm>,
    /// How its key is read; none for a component.
    pub(crate) key: Option<KeyReader>,
    /// The fields that hold component ordinals.
    references: Vec<(usize, References)>,
}

/// How a field holds component ordinals.
enum References {
    One(TypeId),
    List(TypeId),
    /// Sorted by ordinal.
    Set(TypeId),
    Map(MapPart, MapPart),
}

/// The keys or the values of a map.
struct MapPart {
    /// The component that they are ordinals of.
    target: Option<TypeId>,
    /// Canonical bytes of each; none if they come with their length.
    bytes: Option<usize>,
}

impl Plans {
    /// The plans for a schema.
    pub(crate) fn new(schema: &Schema) -> Result<Plans, KeyError> {
        let types = schema.iter().map(|(id, _)| TypePlan::new(schema, id));
        Ok(Plans { types: types.collect::<Result<_, _>>()? })
    }

    /// The plan for a type.
    pub(crate) fn of(&self, id: TypeId) -> &TypePlan {
        &self.types[id.index()]
    }
}

impl TypePlan {
    fn new(schema: &Schema, id: TypeId) -> Result<TypePlan, KeyError> {
        let of_type = schema.get(id);
        let mut references = Vec::new();
        for (index, field) in of_type.fields.iter().enumerate() {
            if let Some(found) = References::of(schema, &field.shape)? {
                references.push((index, found));
            }
        }
        // A type that was removed keeps its place without fields, and has no key to read.
        let has_key = of_type.is_root() && !of_type.fields.is_empty();
        let key = if has_key { Some(KeyReader::new(schema, id)?) } else { None };
        let cells = of_type.fields.iter().map(|field| CellForm::new(schema, &field.shape));
        Ok(TypePlan {
            columns: of_type.fields.iter().map(|field| field.column).collect(),
            cells: cells.collect::<Result<_, _>>()?,
            key,
            references,
        })
    }

    /// Whether the field holds component ordinals.
    pub(crate) fn refers_by(&self, field: usize) -> bool {
        self.references.iter().any(|(other, _)| *other == field)
    }

    /// Visits every component ordinal in a row, each as often as it is there.
    pub(crate) fn references(&self, row: &Row, mut visit: impl FnMut(TypeId, u32)) {
        for (field, references) in &self.references {
            if let Some(cell) = row.cell(*field) {
                references.visit(cell, &mut visit);
            }
        }
    }

    /// The same for a record that a segment holds.
    pub(crate) fn stored_references(&self, row: RowAt<'_>, mut visit: impl FnMut(TypeId, u32)) {
        for (field, references) in &self.references {
            let cell = row.cell(*field);
            if !cell.is_present() {
                continue;
            }
            match references {
                References::One(id) => visit(*id, cell.image() as u32),
                References::List(id) | References::Set(id) => {
                    let elements = cell.elements();
                    (0..elements.len()).for_each(|index| visit(*id, elements.image(index) as u32));
                }
                References::Map(key, value) => {
                    let (keys, values) = cell.entries();
                    for (part, elements) in [(key, keys), (value, values)] {
                        let Some(id) = part.target else { continue };
                        (0..elements.len()).for_each(|index| visit(id, elements.image(index) as u32));
                    }
                }
            }
        }
    }

    /// Copies a row with every component ordinal replaced.
    pub(crate) fn renumbered(&self, row: &Row, number: impl Fn(TypeId, u32) -> u32, out: &mut Row) {
        out.clear(row.columns());
        for column in 0..row.columns() {
            let Some(cell) = row.cell(column) else { continue };
            let found = self.references.iter().find(|(field, _)| *field == column);
            out.set(column, |bytes| match found {
                Some((_, references)) => references.renumber(cell, &number, bytes),
                None => bytes.extend_from_slice(cell),
            });
        }
    }
}

impl References {
    fn of(schema: &Schema, shape: &Shape) -> Result<Option<References>, KeyError> {
        Ok(match shape {
            Shape::One(kind) => kind.component().map(References::One),
            Shape::List(kind) => kind.component().map(References::List),
            Shape::Set(kind) => kind.component().map(References::Set),
            Shape::Map(key, value) if key.component().is_some() || value.component().is_some() => {
                Some(References::Map(MapPart::new(schema, key)?, MapPart::new(schema, value)?))
            }
            Shape::Map(..) => None,
        })
    }

    fn visit(&self, cell: &[u8], visit: &mut impl FnMut(TypeId, u32)) {
        match self {
            References::One(id) => visit(*id, u32_at(cell, 0)),
            References::List(id) | References::Set(id) => {
                (4..cell.len()).step_by(4).for_each(|at| visit(*id, u32_at(cell, at)));
            }
            References::Map(key, value) => {
                let mut rest = &cell[4..];
                while !rest.is_empty() {
                    for part in [key, value] {
                        let bytes = part.take(&mut rest);
                        if let Some(id) = part.target {
                            visit(id, u32_at(bytes, 0));
                        }
                    }
                }
            }
        }
    }

    /// Appends the cell with its ordinals replaced.
    fn renumber(&self, cell: &[u8], number: &impl Fn(TypeId, u32) -> u32, out: &mut Vec<u8>) {
        match self {
            References::One(id) => push_number(*id, cell, number, out),
            References::List(id) => {
                out.extend_from_slice(&cell[..4]);
                (4..cell.len()).step_by(4).for_each(|at| push_number(*id, &cell[at..], number, out));
            }
            References::Set(id) => {
                out.extend_from_slice(&cell[..4]);
                let mut ordinals: Vec<u32> =
                    (4..cell.len()).step_by(4).map(|at| number(*id, u32_at(cell, at))).collect();
                ordinals.sort_unstable();
                ordinals.iter().for_each(|ordinal| out.extend_from_slice(&ordinal.to_le_bytes()));
            }
            References::Map(key, value) => {
                out.extend_from_slice(&cell[..4]);
                renumber_entries(key, value, &cell[4..], number, out);
            }
        }
    }
}

/// The entries of a map with their ordinals replaced; sorted by key again if keys are ordinals.
fn renumber_entries(
    key: &MapPart,
    value: &MapPart,
    mut entries: &[u8],
    number: &impl Fn(TypeId, u32) -> u32,
    out: &mut Vec<u8>,
) {
    let mut sorted: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    while !entries.is_empty() {
        let mut entry = Vec::new();
        for part in [key, value] {
            let bytes = part.take(&mut entries);
            match part.target {
                Some(id) => push_number(id, bytes, number, &mut entry),
                None => part.push(bytes, &mut entry),
            }
        }
        if key.target.is_some() {
            sorted.insert(u32_at(&entry, 0), entry);
        } else {
            out.extend_from_slice(&entry);
        }
    }
    sorted.values().for_each(|entry| out.extend_from_slice(entry));
}

impl MapPart {
    fn new(schema: &Schema, kind: &ValueKind) -> Result<MapPart, KeyError> {
        let bytes = match schema.value_form(kind)? {
            ValueForm::Image(image) => Some(image.canonical_bytes()),
            ValueForm::Text | ValueForm::Bytes => None,
        };
        Ok(MapPart { target: kind.component(), bytes })
    }

    /// The next of these in a map's canonical bytes, without its length.
    fn take<'a>(&self, rest: &mut &'a [u8]) -> &'a [u8] {
        let (start, len) = match self.bytes {
            Some(bytes) => (0, bytes),
            None => (4, u32_at(rest, 0) as usize),
        };
        let (taken, after) = rest[start..].split_at(len);
        *rest = after;
        taken
    }

    fn push(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.bytes.is_none() {
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(bytes);
    }
}

fn push_number(id: TypeId, bytes: &[u8], number: &impl Fn(TypeId, u32) -> u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number(id, u32_at(bytes, 0)).to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("canonical bytes were written by this process"))
}

/// The ordinal in a cell that holds one reference.
pub(crate) fn ordinal_in(cell: &[u8]) -> Ordinal {
    Ordinal(u32_at(cell, 0))
}
