//! Applying a delta: every touched table edited, then the key indexes, then the new state.

use std::sync::Arc;

use crate::ids::{TypeId, Version};
use crate::segment::Cell;
use crate::state::State;
use crate::table::{EditError, TableEdit};

use super::{Change, Chunk, Delta};

/// Why a delta does not fit a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not fit the records of type {type_name}")]
pub struct ApplyError {
    /// The type.
    pub type_name: String,
    /// What does not fit.
    pub source: EditError,
}

/// All changes of one type, gathered from its chunks.
struct Gathered<'d> {
    type_id: TypeId,
    chunks: Vec<&'d Chunk>,
    removed: Vec<u32>,
    /// The ordinal, the field, the new value.
    patched: Vec<(u32, usize, Cell<'d>)>,
}

impl State {
    /// The state after the delta, under this version. The delta was decoded by this state's schema.
    pub fn applied(&self, delta: &Delta, version: Version, threads: usize) -> Result<State, ApplyError> {
        let gathered = gather(delta);
        let edits: Vec<_> = gathered.iter().map(|of_type| self.edit(of_type)).collect();
        let mut tables = self.with_symbols(&delta.symbols).tables().to_vec();
        for (of_type, edit) in gathered.iter().zip(&edits) {
            let table = &tables[of_type.type_id.index()];
            let edited = table.edited(edit, threads).map_err(|source| self.misfit(of_type.type_id, source))?;
            tables[of_type.type_id.index()] = Arc::new(edited);
        }
        let is_edited = |id: TypeId| gathered.iter().any(|of_type| of_type.type_id == id);
        for table in tables.iter_mut().filter(|table| !table.is_settled() && !is_edited(table.layout().type_id)) {
            *table = Arc::new(table.edited(&TableEdit::default(), threads).expect("nothing is to change in it"));
        }
        // Keys may lead through components, so every table comes before any key index.
        let records = self.with_tables(self.schema().clone(), tables.clone());
        for (of_type, edit) in gathered.iter().zip(&edits) {
            let table = &mut tables[of_type.type_id.index()];
            let indexed = table.reindexed(edit, self.tables(), records.tables(), threads);
            *table = Arc::new(indexed.map_err(|source| self.misfit(of_type.type_id, source))?);
        }
        Ok(self.with_tables(self.schema().clone(), tables).with_version(version))
    }

    fn edit<'d>(&'d self, of_type: &'d Gathered<'d>) -> TableEdit<'d> {
        let layout = self.table(of_type.type_id).layout();
        let (removed, patched) = (&*of_type.removed, &*of_type.patched);
        let mut edit = TableEdit { removed, patched, ..TableEdit::default() };
        for chunk in &of_type.chunks {
            match &chunk.change {
                Change::Added { ordinals, rows } => {
                    let at = |row| rows.row(layout, row).expect("there are as many rows as ordinals");
                    edit.added.extend(ordinals.iter().zip(0..).map(|(ordinal, row)| (*ordinal, at(row))));
                }
                Change::Whole { number, rows } => edit.whole.push((*number as usize, rows)),
                Change::Removed(_) | Change::Patched { .. } => {}
            }
        }
        edit
    }

    fn misfit(&self, id: TypeId, source: EditError) -> ApplyError {
        ApplyError { type_name: self.schema().get(id).name.clone(), source }
    }
}

/// The chunks by type, in the order of type numbers; removals and patches merged.
fn gather(delta: &Delta) -> Vec<Gathered<'_>> {
    let mut types: Vec<Gathered<'_>> = Vec::new();
    let mut chunks: Vec<&Chunk> = delta.chunks.iter().collect();
    chunks.sort_by_key(|chunk| chunk.type_id);
    for chunk in chunks {
        if types.last().is_none_or(|last| last.type_id != chunk.type_id) {
            let (removed, patched) = (Vec::new(), Vec::new());
            types.push(Gathered { type_id: chunk.type_id, chunks: Vec::new(), removed, patched });
        }
        let of_type = types.last_mut().expect("one was pushed for this type");
        of_type.gather(chunk);
    }
    for of_type in &mut types {
        of_type.patched.sort_by_key(|(ordinal, field, _)| (*ordinal, *field));
    }
    types
}

impl<'d> Gathered<'d> {
    fn gather(&mut self, chunk: &'d Chunk) {
        self.chunks.push(chunk);
        match &chunk.change {
            Change::Removed(ordinals) => self.removed.extend_from_slice(ordinals),
            Change::Added { .. } | Change::Whole { .. } => {}
            Change::Patched { fields, layout, ordinals, rows } => {
                self.patched.reserve(ordinals.len() * fields.len());
                for (ordinal, row) in ordinals.iter().zip(0..) {
                    let row = rows.row(layout, row).expect("there are as many rows as ordinals");
                    let cells = fields.iter().enumerate().map(|(index, field)| (*ordinal, *field, row.cell(index)));
                    self.patched.extend(cells);
                }
            }
        }
    }
}
