//! A field path, bound to a schema: from a root's row to the values at its end.
//!
//! A path leads through components and lists, so a row has any number of values. It is read from the program's types
//! (names, options, defaults) and found in the chain's (columns), once for each schema.
//!
//! Rules: components never change, so a root's values depend on one of its columns, the one that the path begins with;
//! an absent `Option` on the way is the value `None`; an absent or empty list has no values; an enum is its name, as
//! the program knows it, so that indexes outlive a schema that grows.

use std::collections::BTreeSet;

use crate::ids::{ColumnId, Ordinal, TypeId};
use crate::record::{Declared, Source};
use crate::schema::{Field, Schema, Shape, ValueKind};
use crate::segment::{Cell, RowAt};
use crate::state::State;

use super::indexes::{IndexDeclaration, IndexError};

/// A path in one schema of the chain.
#[derive(Debug)]
pub(super) struct Path {
    /// The root in the chain; none if the dataset lacks it.
    pub(super) root: Option<TypeId>,
    steps: Vec<Step>,
    /// The columns that it reads, in order; none where the chain lacks the field.
    pub(super) columns: Vec<Option<(TypeId, ColumnId)>>,
}

#[derive(Debug)]
struct Step {
    /// The field in the chain; none if it lacks it.
    field: Option<usize>,
    part: CellPart,
    absent: Absent,
    next: Next,
}

/// Which values of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellPart {
    One,
    Elements,
    Keys,
    Values,
}

/// What an absent cell gives.
#[derive(Debug)]
enum Absent {
    Nothing,
    None,
    Value(Vec<u8>),
}

#[derive(Debug)]
enum Next {
    /// References to records of this component, in the chain.
    Into(TypeId),
    /// The end: a number of so many canonical bytes.
    Scalar(usize),
    /// The end: an enum, by the program's names for the chain's numbers.
    Names(Vec<String>),
    /// The end: text.
    Text,
    /// The end: packed text.
    Packed,
    /// The end: bytes.
    Bytes,
    /// The end: text that is kept once, in this component.
    Dedup(TypeId),
}

impl Path {
    /// Finds the path of `index` in the chain. What the program declares is known to fit the chain.
    pub(super) fn new(index: &IndexDeclaration, declared: &Declared, chain: &Schema) -> Result<Path, IndexError> {
        let root = index.root_in(declared)?;
        let in_chain = find_type(chain, &declared.schema().get(root).name);
        let mut path = Path { root: in_chain, steps: Vec::new(), columns: Vec::new() };
        let mut walk = Walk { index, declared, chain, at: root, in_chain };
        let mut segments = index.path().split('.').peekable();
        while let Some(segment) = segments.next() {
            let field = walk.field(segment)?;
            let (part, kind) = walk.part(field, &mut segments)?;
            let is_last = segments.peek().is_none();
            let (step, column) = walk.step(field, part, kind, is_last)?;
            path.steps.push(step);
            path.columns.push(column);
        }
        Ok(path)
    }

    /// The field of the root that the values depend on; none if the dataset lacks it.
    pub(super) fn first_field(&self) -> Option<usize> {
        self.steps.first().and_then(|step| step.field)
    }

    /// Calls `emit` with each value of the record with this ordinal, some of them several times; not at all if there is no
    /// such record.
    pub(super) fn values(&self, state: &State, ordinal: Ordinal, emit: &mut impl FnMut(Option<&[u8]>)) {
        let Some(root) = self.root else { return };
        let table = state.table(root);
        if let Some(row) = table.row(ordinal).filter(|_| table.is_live(ordinal)) {
            self.walk(0, state, row, &mut Components::default(), emit);
        }
    }

    fn walk(
        &self,
        depth: usize,
        state: &State,
        row: RowAt<'_>,
        met: &mut Components,
        emit: &mut impl FnMut(Option<&[u8]>),
    ) {
        let step = &self.steps[depth];
        let Some(cell) = step.cell(row) else { return step.absent.emit(emit) };
        let elements = match step.part {
            CellPart::One if matches!(step.next, Next::Packed) => {
                let mut text = Vec::new();
                cell.canonical(&mut text);
                return emit(Some(&text));
            }
            CellPart::One => return self.one(depth, state, cell, met, emit),
            CellPart::Elements => cell.elements(),
            CellPart::Keys => cell.entries().0,
            CellPart::Values => cell.entries().1,
        };
        (0..elements.len()).for_each(|index| self.one(depth, state, (elements, index), met, emit));
    }

    fn one<'s, S: Source<'s>>(
        &self,
        depth: usize,
        state: &'s State,
        source: S,
        met: &mut Components,
        emit: &mut impl FnMut(Option<&[u8]>),
    ) {
        let component = |id: TypeId| state.table(id).row(Ordinal(source.scalar() as u32));
        match &self.steps[depth].next {
            Next::Scalar(bytes) => emit(Some(&source.scalar().to_le_bytes()[..*bytes])),
            Next::Text => emit(Some(source.text().as_bytes())),
            Next::Packed => unreachable!("packed text is a value alone, which walk reads"),
            Next::Bytes => emit(Some(source.bytes())),
            Next::Names(names) => emit(names.get(source.scalar() as usize).map(String::as_bytes)),
            Next::Dedup(id) => emit(component(*id).map(|row| row.cell(0).text().as_bytes())),
            Next::Into(_) if !met.is_first(depth, source.scalar() as u32) => {}
            Next::Into(id) => match component(*id) {
                Some(row) => self.walk(depth + 1, state, row, met, emit),
                // A reference that leads nowhere reads as a blank record.
                None => emit(None),
            },
        }
    }
}

/// The components that a walk from one root has come to.
///
/// Components are shared, so a few of them, each with several references to the next, make more paths than can be
/// walked; where there are many, each component is entered once.
#[derive(Default)]
struct Components {
    count: usize,
    /// By depth and ordinal, once there are many.
    met: BTreeSet<(usize, u32)>,
}

impl Components {
    /// Components that are entered without noting which.
    const FEW: usize = 256;

    /// Whether a component is to be entered.
    fn is_first(&mut self, depth: usize, ordinal: u32) -> bool {
        self.count += 1;
        self.count <= Components::FEW || self.met.insert((depth, ordinal))
    }
}

impl Step {
    fn cell<'s>(&self, row: RowAt<'s>) -> Option<Cell<'s>> {
        self.field.map(|field| row.cell(field)).filter(|cell| cell.is_present())
    }
}

impl Absent {
    fn emit(&self, emit: &mut impl FnMut(Option<&[u8]>)) {
        match self {
            Absent::Nothing => {}
            Absent::None => emit(None),
            Absent::Value(bytes) => emit(Some(bytes)),
        }
    }
}

/// Where a path being bound has come to.
struct Walk<'a> {
    index: &'a IndexDeclaration,
    declared: &'a Declared,
    chain: &'a Schema,
    /// The declared type.
    at: TypeId,
    /// The same in the chain.
    in_chain: Option<TypeId>,
}

impl<'a> Walk<'a> {
    fn field(&self, name: &str) -> Result<usize, IndexError> {
        let schema = self.declared.schema().get(self.at);
        schema.field(name).ok_or_else(|| {
            let known: Vec<_> = schema.fields.iter().map(|field| field.name.as_str()).collect();
            self.wrong(format!("{} has no field {name}; it has {}", schema.name, known.join(", ")))
        })
    }

    fn declared_field(&self, field: usize) -> &'a Field {
        &self.declared.schema().get(self.at).fields[field]
    }

    /// Which of the field's values, and what they are. A map takes another segment.
    fn part<'p>(
        &self,
        field: usize,
        segments: &mut impl Iterator<Item = &'p str>,
    ) -> Result<(CellPart, &'a ValueKind), IndexError> {
        let field = self.declared_field(field);
        Ok(match &field.shape {
            Shape::One(kind) => (CellPart::One, kind),
            Shape::List(kind) | Shape::Set(kind) => (CellPart::Elements, kind),
            Shape::Map(key, value) => match segments.next() {
                Some("keys") => (CellPart::Keys, key),
                Some("values") => (CellPart::Values, value),
                _ => {
                    let name = &field.name;
                    return Err(self.wrong(format!("{name} is a map; write {name}.keys or {name}.values")));
                }
            },
        })
    }

    /// The step for a field, and its column. Moves on into a component.
    fn step(
        &mut self,
        field: usize,
        part: CellPart,
        kind: &'a ValueKind,
        is_last: bool,
    ) -> Result<(Step, Option<(TypeId, ColumnId)>), IndexError> {
        let declared = self.declared_field(field);
        let found = self.in_chain.and_then(|id| Some((id, self.chain.get(id).field(&declared.name)?)));
        let stored = found.map(|(id, at)| &self.chain.get(id).fields[at]);
        let absent = self.absent(field, part);
        let next = match kind {
            ValueKind::Component(_) if is_last => {
                let name = &declared.name;
                return Err(self.wrong(format!("{name} is a component; name one of its fields: {name}.…")));
            }
            ValueKind::Component(id) => {
                self.at = *id;
                let name = &self.declared.schema().get(*id).name;
                self.in_chain = stored.and_then(|_| find_type(self.chain, name));
                // Without the column there is no reference to follow.
                Next::Into(self.in_chain.unwrap_or_default())
            }
            _ if !is_last => {
                return Err(self.wrong(format!("{} is not a component; the path must end there", declared.name)));
            }
            kind => {
                self.index.check_kind(kind, self.declared.schema())?;
                self.leaf(field, part, kind, stored)
            }
        };
        let column = found.zip(stored).map(|((id, _), stored)| (id, stored.column));
        Ok((Step { field: found.map(|(_, at)| at), part, absent, next }, column))
    }

    fn absent(&self, field: usize, part: CellPart) -> Absent {
        let declared = self.declared_field(field);
        let hints = &self.declared.hints(self.at)[field];
        match self.index.default_bytes() {
            _ if declared.optional => Absent::None,
            Some(bytes) if hints.default && part == CellPart::One => Absent::Value(bytes.to_vec()),
            _ => Absent::Nothing,
        }
    }

    fn leaf(&self, field: usize, part: CellPart, kind: &ValueKind, stored: Option<&Field>) -> Next {
        if stored.is_some_and(Field::is_packed) {
            return Next::Packed;
        }
        let stored_kind = stored.and_then(|stored| match (&stored.shape, part) {
            (Shape::Map(_, value), CellPart::Values) => Some(value),
            (shape, _) => shape.kinds().next(),
        });
        match (kind, stored_kind) {
            (ValueKind::Enum(known), Some(ValueKind::Enum(names))) => {
                let other = self.declared.hints(self.at)[field].other[usize::from(part == CellPart::Values)];
                Next::Names(names.iter().map(|name| known_name(name, known, other)).collect())
            }
            (_, Some(ValueKind::Dedup(id))) => Next::Dedup(*id),
            (kind, _) => self.plain(kind),
        }
    }

    fn plain(&self, kind: &ValueKind) -> Next {
        use crate::layout::ValueForm;
        match self.declared.schema().value_form(kind) {
            Ok(ValueForm::Scalar(scalar)) => Next::Scalar(scalar.canonical_bytes()),
            Ok(ValueForm::Text) => Next::Text,
            // A declared schema's keys were checked when it was made.
            Ok(ValueForm::Bytes) | Err(_) => Next::Bytes,
        }
    }

    fn wrong(&self, problem: String) -> IndexError {
        self.index.wrong(problem)
    }
}

/// The variant that the program reads for one of the chain.
fn known_name(name: &str, known: &[String], other: Option<u32>) -> String {
    let is_known = known.iter().any(|variant| variant == name);
    match other.and_then(|other| known.get(other as usize)) {
        Some(other) if !is_known => other.clone(),
        _ => name.to_owned(),
    }
}

/// The type of this name, unless it was removed.
fn find_type(chain: &Schema, name: &str) -> Option<TypeId> {
    chain.find(name).filter(|id| !chain.get(*id).fields.is_empty())
}
