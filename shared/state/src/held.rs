//! What of a dataset a state holds: everything, or what a program declares.
//!
//! A state that holds a part has a schema of that part: a type that is not held is there without fields, like a removed
//! one, and a column that is not held is no field. Numbers stay the dataset's. Of the columns that are not held it has the
//! sums, as the log tells them, so that its digest is the dataset's: what is held is proven all the same (I5).
//!
//! Rules: of a declared type the declared fields are held, and whatever its key leads through; of a type that a held field
//! refers to by key, the key; of one that it refers to by ordinal, a field at least.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::digest::PRESENCE;
use crate::ids::{ColumnId, TypeId};
use crate::layout::Layout;
use crate::schema::{Declared, KeyError, Schema, ValueKind};

/// What a reader holds of a dataset.
#[derive(Clone, Debug, Default)]
pub enum Selection {
    /// All types and all fields.
    #[default]
    Whole,
    /// The types and fields that a program declares, with what their keys need.
    Declared {
        /// What the program declares.
        declared: Arc<Declared>,
        /// Columns that are held whatever the program declares.
        also: Arc<[(TypeId, ColumnId)]>,
    },
}

/// What a schema change wants held and a state lacks: a field that was not held got the name of a declared one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the values of {} were not held", .fields.join(", "))]
pub struct Lacking {
    /// `Type.field`, each.
    pub fields: Vec<String>,
    /// The same as numbers.
    pub columns: Vec<(TypeId, ColumnId)>,
}

/// How much of a dataset's schema is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldCounts {
    /// Types that are held, at least in part.
    pub types: usize,
    /// Types of the dataset.
    pub types_of: usize,
    /// Fields that are held.
    pub fields: usize,
    /// Fields of the dataset.
    pub fields_of: usize,
}

impl fmt::Display for HeldCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeldCounts { types, types_of, fields, fields_of } = self;
        write!(f, "{types} of {types_of} types, {fields} of {fields_of} fields")
    }
}

/// What a state that holds a part knows of the rest.
#[derive(Clone, Debug)]
pub(crate) struct HeldPart {
    selection: Selection,
    dataset: Arc<Schema>,
    /// By type: how its rows are stored, where that is not how they are held.
    stored: Arc<[Option<Arc<Layout>>]>,
    /// The sums of columns that are not held, presence included.
    unheld: BTreeMap<(TypeId, ColumnId), u128>,
}

impl Selection {
    /// What a program declares.
    #[must_use]
    pub fn declared(declared: Arc<Declared>) -> Selection {
        Selection::Declared { declared, also: Arc::default() }
    }

    /// The same, and these columns.
    #[must_use]
    pub fn also(&self, columns: &[(TypeId, ColumnId)]) -> Selection {
        match self {
            Selection::Whole => Selection::Whole,
            Selection::Declared { declared, also } => {
                let also = also.iter().chain(columns).copied().collect();
                Selection::Declared { declared: Arc::clone(declared), also }
            }
        }
    }

    /// The part of a dataset's schema that is held.
    #[must_use]
    pub fn held_in(&self, dataset: &Arc<Schema>) -> Arc<Schema> {
        match self {
            Selection::Whole => Arc::clone(dataset),
            Selection::Declared { declared, also } => Arc::new(Holding::new(dataset).schema(declared, also)),
        }
    }

    /// The same, and what a state knows of the rest.
    pub(crate) fn of(&self, dataset: Arc<Schema>) -> Result<(Arc<Schema>, Option<HeldPart>), KeyError> {
        let held = self.held_in(&dataset);
        let part = match self {
            Selection::Whole => None,
            Selection::Declared { .. } => Some(HeldPart::new(self.clone(), dataset, &held)?),
        };
        Ok((held, part))
    }
}

impl HeldPart {
    fn new(selection: Selection, dataset: Arc<Schema>, held: &Schema) -> Result<HeldPart, KeyError> {
        let stored = dataset.iter().map(|(id, of_type)| {
            let differs = of_type.fields.len() != held.get(id).fields.len();
            Ok(if differs { Some(Arc::new(Layout::new(&dataset, id)?)) } else { None })
        });
        let stored = stored.collect::<Result<_, _>>()?;
        let mut unheld = BTreeMap::new();
        for (id, of_type) in dataset.iter() {
            let held = &held.get(id).fields;
            let missing = of_type.fields.iter().map(|field| field.column);
            let missing = missing.filter(|column| held.iter().all(|field| field.column != *column));
            let presence = (held.is_empty() && !of_type.fields.is_empty()).then_some(PRESENCE);
            unheld.extend(missing.chain(presence).map(|column| ((id, column), 0)));
        }
        Ok(HeldPart { selection, dataset, stored, unheld })
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    pub(crate) fn dataset(&self) -> &Arc<Schema> {
        &self.dataset
    }

    pub(crate) fn stored(&self, id: TypeId) -> Option<&Arc<Layout>> {
        self.stored.get(id.index())?.as_ref()
    }

    /// The sum of a type's columns that are not held.
    pub(crate) fn unheld_total(&self, id: TypeId) -> u128 {
        let of_type = self.unheld.range((id, ColumnId(0))..=(id, PRESENCE));
        of_type.fold(0, |sum, (_, column)| sum.wrapping_add(*column))
    }

    /// The sum of a column that is not held.
    pub(crate) fn unheld(&self, id: TypeId, column: ColumnId) -> Option<u128> {
        self.unheld.get(&(id, column)).copied()
    }

    /// The sums of all columns that are not held.
    pub(crate) fn all_unheld(&self) -> impl Iterator<Item = (TypeId, ColumnId, u128)> {
        self.unheld.iter().map(|((id, column), sum)| (*id, *column, *sum))
    }

    /// Takes over the sums of columns that are not held.
    pub(crate) fn note(&mut self, sums: impl Iterator<Item = (TypeId, ColumnId, u128)>) {
        for (id, column, sum) in sums {
            if let Some(known) = self.unheld.get_mut(&(id, column)) {
                *known = sum;
            }
        }
    }
}

/// Fields that are held, while they are gathered.
struct Holding<'s> {
    dataset: &'s Schema,
    fields: Vec<BTreeSet<usize>>,
    /// Those whose references were not followed yet.
    open: Vec<(TypeId, usize)>,
}

impl<'s> Holding<'s> {
    fn new(dataset: &'s Schema) -> Holding<'s> {
        Holding { dataset, fields: vec![BTreeSet::new(); dataset.types.len()], open: Vec::new() }
    }

    /// The dataset's schema without what is not held.
    fn schema(mut self, declared: &Declared, also: &[(TypeId, ColumnId)]) -> Schema {
        let dataset = self.dataset;
        let types = declared.schema().iter();
        let types: Vec<_> =
            types.filter_map(|(id, of_type)| Some((id, of_type, dataset.find(&of_type.name)?))).collect();
        for &(id, of_type, at) in &types {
            for (field, hints) in of_type.fields.iter().zip(declared.hints(id)) {
                hints.chain_field(dataset.get(at), field).into_iter().for_each(|field| self.hold(at, field));
            }
        }
        for (id, column) in also.iter().filter(|(id, _)| id.index() < dataset.types.len()) {
            let field = dataset.get(*id).fields.iter().position(|field| field.column == *column);
            field.into_iter().for_each(|field| self.hold(*id, field));
        }
        for (_, _, at) in types {
            self.hold_key(at);
            self.hold_any(at);
        }
        self.follow();
        let mut schema = dataset.clone();
        for (of_type, held) in schema.types.iter_mut().zip(&self.fields) {
            let mut index = 0..;
            of_type.fields.retain(|_| index.next().is_some_and(|index| held.contains(&index)));
        }
        schema
    }

    fn hold(&mut self, id: TypeId, field: usize) {
        if self.fields[id.index()].insert(field) {
            self.open.push((id, field));
        }
    }

    /// A field at least, so that there are records.
    fn hold_any(&mut self, id: TypeId) {
        if self.fields[id.index()].is_empty() && !self.dataset.get(id).fields.is_empty() {
            self.hold(id, 0);
        }
    }

    /// What the key of a root leads through.
    fn hold_key(&mut self, root: TypeId) {
        for path in self.dataset.get(root).key_paths() {
            let mut at = root;
            for name in path {
                let Some(field) = self.dataset.get(at).field(name) else { break };
                self.hold(at, field);
                let kind = self.dataset.get(at).fields[field].shape.kinds().next();
                let Some(next) = kind.and_then(ValueKind::component) else { break };
                at = next;
            }
        }
    }

    /// Holds what held fields refer to.
    fn follow(&mut self) {
        while let Some((id, field)) = self.open.pop() {
            let dataset = self.dataset;
            for kind in dataset.get(id).fields[field].shape.kinds() {
                match kind {
                    ValueKind::Key(root) => self.hold_key(*root),
                    ValueKind::Component(component) | ValueKind::Dedup(component) => self.hold_any(*component),
                    _ => {}
                }
            }
        }
    }
}
