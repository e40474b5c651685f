//! Populate: takes rows, and sorts them by key into unchanged, changed and new ones.
//!
//! An equal record costs a key look-up and a comparison, and nothing is kept of it. A program's record is first compared
//! with the stored one without making a row; it becomes a row only if that comparison does not show that they are equal.
//! Component rows are looked up by content. Those that the last version lacks get *provisional* ordinals, after all that
//! its tables have room for: which of them are referred to is known only after the whole input.

use std::collections::BTreeSet;
use std::fmt;

use cenote_state::ids::{Ordinal, TypeId, Version};
use cenote_state::keys::KeyRef;
use cenote_state::record::{Interner, WriteError};
use cenote_state::row::{RECORD_BYTES_MAX, Row, RowRef};
use cenote_state::schema::TypeSchema;

use super::root_input::RootInput;
use crate::base::CycleBase;
use crate::content::Fresh;
use crate::key::{CycleComponents, CycleRow};

/// Keys that are named when some were added twice.
const NAMED_KEYS: usize = 10;

/// The input of a cycle or an update so far.
pub(crate) struct Input {
    pub(crate) base: CycleBase,
    /// By type; those of roots stay empty.
    pub(crate) fresh: Vec<Fresh>,
    /// By type; those of components stay empty.
    pub(crate) roots: Vec<RootInput>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    candidate: Vec<u8>,
    key: Vec<u8>,
}

/// Keys that were given twice in one cycle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; add each record once", .types.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct DuplicateKeys {
    /// Every type that has such keys.
    pub types: Vec<DuplicatesOfType>,
}

/// Keys of one type that were given twice in one cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DuplicatesOfType {
    /// The type.
    pub type_name: String,
    /// How many records too many.
    pub count: u64,
    /// The first ten keys.
    pub first: Vec<String>,
}

/// A cycle would leave types without a record, and the program did not allow it. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", explain_emptied(.types))]
#[non_exhaustive]
pub struct Emptied {
    /// Each such type, and how many records it has now.
    pub types: Vec<(String, u64)>,
}

fn explain_emptied(types: &[(String, u64)]) -> String {
    let said = types.iter().map(|(name, records)| match records {
        0 => format!("{name} was given no record, and the dataset has none yet"),
        1 => format!("{name} has 1 record and was given none"),
        records => format!("{name} has {records} records and was given none"),
    });
    let said = said.collect::<Vec<_>>().join("; ");
    let calls = types.iter().map(|(name, _)| format!("writer.allow_empty::<{name}>()")).collect::<Vec<_>>().join(", ");
    format!("{said}; add records, or call {calls} if that is meant")
}

impl fmt::Display for DuplicatesOfType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DuplicatesOfType { type_name, count, first } = self;
        let (records, first) = (if *count == 1 { "record" } else { "records" }, first.join(", "));
        write!(f, "{count} {records} of {type_name} came under a key that was taken, the first: {first}")
    }
}

impl Input {
    /// An empty input. The records of the types in `replaced` are removed unless they are given again.
    pub(crate) fn new(base: CycleBase, replaced: &[TypeId]) -> Input {
        let types = base.state.schema().types.len();
        let mut roots: Vec<RootInput> = (0..types).map(|_| RootInput::default()).collect();
        for id in replaced {
            roots[id.index()] = RootInput::replacing(base.state.table(*id).ordinal_ceiling());
        }
        let fresh = (0..types).map(|_| Fresh::default()).collect();
        Input { base, fresh, roots, scratch: Scratch::default() }
    }

    /// A record of a cycle: its key must be new to the cycle.
    pub(crate) fn add(&mut self, id: TypeId, row: &Row) -> Result<(), WriteError> {
        self.check_size(id, row)?;
        let row = RowRef::from(row);
        let Input { base, fresh, roots, scratch } = self;
        let (plan, root) = (base.key_plan(id), &mut roots[id.index()]);
        let components = CycleComponents { state: &base.state, fresh };
        let key = plan.read(CycleRow::Given(row), components, &mut scratch.key);
        let is_new = match base.state.table(id).find_row(key, base.state.tables()) {
            Some((ordinal, stored)) => {
                let is_new = root.see(ordinal);
                if is_new && !stored.is_row(row, &mut scratch.candidate) {
                    root.known.insert(ordinal.0, Some(root.rows.push(row)));
                }
                is_new
            }
            None => {
                let number = root.new.number(key, base.state.seed());
                let is_new = root.new.rows[number].is_none();
                if is_new {
                    root.new.rows[number] = Some(root.rows.push(row));
                }
                is_new
            }
        };
        if !is_new {
            root.duplicates.count += 1;
            if root.duplicates.first.len() < NAMED_KEYS {
                root.duplicates.first.push(plan.display(key));
            }
        }
        Ok(())
    }

    /// A record of a cycle that equals the one that the last version has under this ordinal. Returns `false` if it must come
    /// as a row: its key was given before, or the last version has equal components twice, which a row merges.
    pub(crate) fn add_same(&mut self, id: TypeId, ordinal: Ordinal) -> bool {
        self.base.content.is_distinct() && self.roots[id.index()].see(ordinal)
    }

    /// A record of an update: it replaces whatever its key had before.
    pub(crate) fn upsert(&mut self, id: TypeId, row: &Row) -> Result<(), WriteError> {
        self.check_size(id, row)?;
        let row = RowRef::from(row);
        let Input { base, fresh, roots, scratch } = self;
        let root = &mut roots[id.index()];
        let components = CycleComponents { state: &base.state, fresh };
        let key = base.key_plan(id).read(CycleRow::Given(row), components, &mut scratch.key);
        match base.state.table(id).find_row(key, base.state.tables()) {
            Some((ordinal, stored)) if stored.is_row(row, &mut scratch.candidate) => {
                root.known.remove(&ordinal.0);
            }
            Some((ordinal, _)) => {
                root.known.insert(ordinal.0, Some(root.rows.push(row)));
            }
            None => {
                let number = root.new.number(key, base.state.seed());
                root.new.rows[number] = Some(root.rows.push(row));
            }
        }
        Ok(())
    }

    /// Removes the record with this key. Returns whether there was one.
    pub(crate) fn delete(&mut self, id: TypeId, key: KeyRef<'_>) -> bool {
        let root = &mut self.roots[id.index()];
        match self.base.state.table(id).find(key, self.base.state.tables()) {
            Some(ordinal) => root.known.insert(ordinal.0, None) != Some(None),
            None => match root.new.find(key, self.base.state.seed()) {
                Some(number) => root.new.rows[number].take().is_some(),
                None => false,
            },
        }
    }

    /// The keys that were given twice, of all types.
    pub(crate) fn duplicate_keys(&self) -> Option<DuplicateKeys> {
        let types =
            self.roots.iter().zip(&self.base.state.schema().types).filter(|(root, _)| root.duplicates.count > 0);
        let types = types.map(|(root, of_type)| DuplicatesOfType {
            type_name: of_type.name.clone(),
            count: root.duplicates.count,
            first: root.duplicates.first.clone(),
        });
        let types: Vec<DuplicatesOfType> = types.collect();
        (!types.is_empty()).then_some(DuplicateKeys { types })
    }

    /// The root types that this cycle would leave without a record although they have some, and that are not in `meant`; in a
    /// dataset without a record, all of its types if the cycle brings none.
    pub(crate) fn emptied(&self, meant: &BTreeSet<TypeId>) -> Option<Emptied> {
        let state = &self.base.state;
        let empty = || {
            let roots = self.roots.iter().zip((0..).map(TypeId));
            roots.filter(|(root, id)| root.replaces && root.is_empty() && !meant.contains(id)).map(|(_, id)| id)
        };
        let is_first = state.version() == Version::EMPTY && self.is_empty();
        let types = empty().map(|id| (state.schema().get(id).name.clone(), state.table(id).len() as u64));
        let types: Vec<(String, u64)> = types.filter(|(_, records)| is_first || *records > 0).collect();
        (!types.is_empty()).then_some(Emptied { types })
    }

    /// Whether it holds no record and no deletion.
    pub(crate) fn is_empty(&self) -> bool {
        self.roots.iter().all(RootInput::is_empty)
    }

    /// Checks the limit that every record must keep.
    pub(crate) fn check_size(&self, id: TypeId, row: &Row) -> Result<(), WriteError> {
        if row.bytes() <= RECORD_BYTES_MAX {
            return Ok(());
        }
        let schema = self.base.state.schema().get(id);
        Err(WriteError::RecordTooLarge { type_name: schema.name.clone(), field: largest(schema, row) })
    }
}

/// The field that takes most of a row.
fn largest(schema: &TypeSchema, row: &Row) -> String {
    let bytes = |field: &usize| row.cell(*field).map_or(0, <[u8]>::len);
    let field = (0..row.columns()).max_by_key(bytes);
    field.map_or(String::new(), |field| schema.fields[field].name.clone())
}

impl Interner for Input {
    fn intern(&mut self, component: TypeId, row: &Row) -> Result<Ordinal, WriteError> {
        let Input { base, fresh, scratch, .. } = self;
        let row = RowRef::from(row);
        let hash = base.content.hash(row);
        let found = base.content.find(&base.state, component, hash, row, &mut scratch.candidate);
        if let Some(ordinal) = found {
            return Ok(ordinal);
        }
        let number = fresh[component.index()].intern(hash, row);
        let ordinal = base.state.table(component).ordinal_ceiling().checked_add(number);
        ordinal
            .filter(|ordinal| *ordinal < u32::MAX)
            .map(Ordinal)
            .ok_or_else(|| WriteError::OrdinalsExhausted { type_name: base.state.schema().get(component).name.clone() })
    }
}
