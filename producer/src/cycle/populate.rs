//! Populate: takes rows, and sorts them by key into unchanged, changed and new ones.
//!
//! An equal record costs a key look-up and a comparison, and nothing is kept of it. A program's record is first compared
//! with the stored one without making a row; it becomes a row only if that comparison does not show that they are equal.
//! Component rows are looked up by content. Those that the last version lacks get *provisional* ordinals, after all that
//! its tables have room for: which of them are referred to is known only after the whole input.

use cenote_state::ids::{Ordinal, TypeId};
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
#[error(
    "{count} records of {type_name} came under a key that was taken, the first: {}; add each record once",
    .first.join("; ")
)]
#[non_exhaustive]
pub struct DuplicateKeys {
    /// The type.
    pub type_name: String,
    /// How many records too many.
    pub count: u64,
    /// The first ten keys.
    pub first: Vec<String>,
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

    /// The keys that were given twice, of the first type with any.
    pub(crate) fn duplicate_keys(&self) -> Option<DuplicateKeys> {
        let (id, root) = self.roots.iter().enumerate().find(|(_, root)| root.duplicates.count > 0)?;
        let type_name = self.base.state.schema().types[id].name.clone();
        Some(DuplicateKeys { type_name, count: root.duplicates.count, first: root.duplicates.first.clone() })
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
